"""What members type in conversations."""

from typing import Any
from uuid import UUID, uuid4, uuid5

from django import forms

MAX_COMMENT_CHARS = 2000
RATINGS = [("1", "Helpful"), ("-1", "Not helpful"), ("0", "No rating")]


class MessageForm(forms.Form):
    """A message. Its length is for `turns` to judge, which counts tokens."""

    content = forms.CharField(
        label="Your message",
        error_messages={"required": "Write a message first."},
        widget=forms.Textarea(
            attrs={
                "rows": 1,
                "dir": "auto",
                "enterkeyhint": "send",
                "autocomplete": "off",
                "data-composer-input": "",
                "aria-describedby": "composer-notice",
            }
        ),
    )

    page_id = forms.UUIDField(required=False, widget=forms.HiddenInput, initial=uuid4)

    def __init__(self, *args: Any, clone_name: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        attrs = self.fields["content"].widget.attrs
        attrs["placeholder"] = f"Ask {clone_name}" if clone_name else "Ask a question"

    def clean_content(self) -> str:
        """Browsers post line ends as CRLF; sockets send LF."""
        return self.cleaned_data["content"].replace("\r\n", "\n")

    def client_message_id(self) -> UUID | None:
        """The same text from the same page is one message, however often it is posted; None without a page's id."""
        page_id = self.cleaned_data["page_id"]
        return uuid5(page_id, self.cleaned_data["content"]) if page_id else None


class FeedbackForm(forms.Form):
    """A rating, a comment, or both; what is not sent stays as it is."""

    rating = forms.ChoiceField(choices=RATINGS, required=False)
    comment = forms.CharField(max_length=MAX_COMMENT_CHARS, required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("rating") and "comment" not in self.data:
            raise forms.ValidationError("Send a rating or a comment.")
        return cleaned


class SessionSearchForm(forms.Form):
    q = forms.CharField(
        label="Search your conversations",
        required=False,
        max_length=100,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "Search your conversations", "autocomplete": "off"}
        ),
    )


class TitleForm(forms.Form):
    title = forms.CharField(label="Title", max_length=120)
