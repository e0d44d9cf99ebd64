"""Forms for people in the admin: roles are ticked here and kept as groups."""

from typing import Any

from django import forms
from django.contrib.auth.models import Group
from unfold.forms import UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from cloneai.accounts.models import EXPERTS, REVIEWERS, User

ROLE_CHOICES = [
    (EXPERTS, "Expert: builds clones and uploads documents"),
    (REVIEWERS, "Reviewer: reads conversations, summaries and costs"),
]


class RolesMixin(forms.ModelForm):  # type: ignore[type-arg]
    """The two roles as checkboxes. Whoever has one, or is a superuser, may enter the admin; nobody else."""

    roles = forms.MultipleChoiceField(
        choices=ROLE_CHOICES,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(choices=ROLE_CHOICES),
        help_text="Without a role a person is a member: they chat, and see nothing of the admin.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["roles"].initial = sorted(self.instance.role_names & {EXPERTS, REVIEWERS})

    def clean_email(self) -> str:
        email = self.cleaned_data["email"].strip().lower()
        if User.objects.filter(email=email).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("There is already an account with this address.")
        return email

    def save(self, commit: bool = True) -> User:
        self.instance.is_staff = bool(self.cleaned_data["roles"]) or self.instance.is_superuser
        return super().save(commit)

    def _save_m2m(self) -> None:
        super()._save_m2m()  # type: ignore[misc]
        ours = [Group.objects.get_or_create(name=name)[0] for name, _ in ROLE_CHOICES]
        chosen = self.cleaned_data["roles"]
        self.instance.groups.remove(*(group for group in ours if group.name not in chosen))
        self.instance.groups.add(*(group for group in ours if group.name in chosen))


class PersonCreationForm(RolesMixin, UserCreationForm):
    class Meta:
        model = User
        fields = ("email", "name")


class PersonChangeForm(RolesMixin, UserChangeForm):
    class Meta:
        model = User
        fields = ("email", "name", "password", "is_active", "is_superuser", "daily_cost_limit_usd")

    editor: User  # set by the admin: who fills in this form

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        locks_out = not cleaned.get("is_superuser", True) or not cleaned.get("is_active", True)
        if self.instance.pk == self.editor.pk and locks_out:
            raise forms.ValidationError("You cannot take away your own access. Ask another superuser.")
        return cleaned
