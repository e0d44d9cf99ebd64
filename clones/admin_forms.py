"""The clone's form: lists as text, invitations by e-mail address, and a slug that may be left empty."""

import re
from typing import Any

from django import forms
from django.core.validators import validate_email
from unfold.widgets import UnfoldAdminColorInputWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from cloneai.accounts.models import User
from clones.models import MAX_HARD_RULES, Clone, read_host
from clones.slugs import find_free_slug

MAX_INVITED = 200


class ListField(forms.CharField):
    """A list of short texts, edited as one text. `separators` splits, `joiner` shows."""

    separators: str
    joiner: str

    def __init__(self, *, max_items: int, max_item_chars: int, noun: str, **kwargs: Any) -> None:
        self.max_items, self.max_item_chars, self.noun = max_items, max_item_chars, noun
        super().__init__(required=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return self.joiner.join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        parts = re.split(self.separators, value or "")
        return list(dict.fromkeys(part.strip() for part in parts if part.strip()))

    def validate(self, value: Any) -> None:
        if len(value) > self.max_items:
            raise forms.ValidationError(f"At most {self.max_items} {self.noun}; you gave {len(value)}.")
        for item in value:
            if len(item) > self.max_item_chars:
                message = (
                    f"“{item[:40]}…” is too long: {len(item)} characters, at most {self.max_item_chars}."
                )
                raise forms.ValidationError(message)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return not self.disabled and self.to_python(initial) != self.to_python(data)


class CommaListField(ListField):
    separators, joiner = r"[,;\n]", ", "
    widget = UnfoldAdminTextInputWidget


class LineListField(ListField):
    separators, joiner = r"\n", "\n"
    widget = UnfoldAdminTextareaWidget(attrs={"rows": 4})


class EmailListField(ListField):
    separators, joiner = r"[\s,;]+", "\n"
    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})


class CloneForm(forms.ModelForm):  # type: ignore[type-arg]
    expertise_areas = CommaListField(
        max_items=20, max_item_chars=60, noun="topics", help_text="Topics, separated by commas."
    )
    starter_questions = LineListField(
        max_items=6,
        max_item_chars=160,
        noun="questions",
        help_text="Up to six questions to begin with, one a line.",
    )
    hard_rules = LineListField(
        max_items=MAX_HARD_RULES,
        max_item_chars=300,
        noun="rules",
        help_text=f"Up to {MAX_HARD_RULES} rules that the clone never breaks, one a line.",
    )
    link_hosts = CommaListField(
        label="Sites to link to",
        max_items=20,
        max_item_chars=120,
        noun="sites",
        help_text="Sites that answers may link to, separated by commas, for example mara.example. "
        "Any other address is shown as text, so that nobody is led away by a text that found its way into an answer.",
    )
    invited_emails = EmailListField(
        label="Invited people",
        max_items=MAX_INVITED,
        max_item_chars=254,
        noun="addresses",
        help_text="E-mail addresses of people with an account, one a line. They may chat while it’s private.",
    )

    class Meta:
        model = Clone
        exclude = ("invited_users",)  # noqa: DJ006  (the admin's fieldsets name the fields)
        widgets = {
            "accent_color": UnfoldAdminColorInputWidget(attrs={"type": "color"}),
            **{
                name: UnfoldAdminTextareaWidget(attrs={"rows": 4})
                for name in ("communication_style", "greeting", "no_answer_text")
            },
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"].required = False
        self.fields["slug"].help_text = "Part of the address: /c/…/. Empty = made from the name."
        if self.instance.pk:
            invited = self.instance.invited_users.order_by("email").values_list("email", flat=True)
            self.initial["invited_emails"] = list(invited)

    def clean_slug(self) -> str:
        return self.cleaned_data.get("slug") or find_free_slug(name=self.cleaned_data.get("name", ""))

    def clean_link_hosts(self) -> list[str]:
        hosts = [read_host(text) for text in self.cleaned_data["link_hosts"]]
        if "" in hosts:
            raise forms.ValidationError("Give sites by their names, for example mara.example.")
        return list(dict.fromkeys(hosts))

    def clean_invited_emails(self) -> list[User]:
        """People for the given addresses. An address is only ever confirmed to whoever already knows it."""
        emails = [email.lower() for email in self.cleaned_data["invited_emails"]]
        malformed = [email for email in emails if not _is_email(email)]
        if malformed:
            raise forms.ValidationError(f"Not an e-mail address: {', '.join(malformed[:5])}.")
        people = list(User.objects.filter(email__in=emails, is_active=True))
        missing = sorted(set(emails) - {person.email for person in people})
        if missing:
            named = ", ".join(missing[:5])
            raise forms.ValidationError(
                f"Nobody can be invited as {named}. Check the spelling, or ask them to sign up first."
            )
        return people

    def _save_m2m(self) -> None:
        super()._save_m2m()  # type: ignore[misc]
        if "invited_emails" in self.cleaned_data:
            self.instance.invited_users.set(self.cleaned_data["invited_emails"])


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except forms.ValidationError:
        return False
    return True
