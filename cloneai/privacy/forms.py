"""What is typed to erase an account: by its owner with the password, by an administrator without it."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from cloneai.accounts.models import User
from cloneai.privacy.erasure import find_obstacle

PLAIN = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


class EraseForm(forms.Form):
    """The address against a slip of the hand, the password against somebody at an open screen."""

    email = forms.EmailField(label="Your e-mail address, to be sure", widget=forms.EmailInput(attrs=PLAIN))
    password = forms.CharField(
        label="Your password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    with_clones = forms.BooleanField(
        label="Delete my clones too, with their documents and everybody’s conversations with them",
        required=False,
    )

    field_order = ("with_clones", "email", "password")

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person
        if not person.clones.exists():
            del self.fields["with_clones"]

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"].strip().lower()
        if email != self.person.email:
            raise forms.ValidationError("This is not the address of the account.")
        return email

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not self.person.check_password(password):
            raise forms.ValidationError("This is not your password.")
        return password

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        obstacle = find_obstacle(person=self.person, with_clones=cleaned.get("with_clones", False))
        if obstacle and obstacle.code == "owns_clones":
            self.add_error("with_clones", "Tick this, or have the clones given to another expert first.")
        elif obstacle:
            raise forms.ValidationError(obstacle.message)
        return cleaned


class AdminEraseForm(EraseForm):
    """For an administrator, who has logged in to the admin and is written to the audit log."""

    email = forms.EmailField(
        label="The person’s e-mail address, to be sure", widget=UnfoldAdminTextInputWidget(attrs=PLAIN)
    )
    password = None  # type: ignore[assignment]  # Django: removes the inherited field
    with_clones = forms.BooleanField(
        label="Delete the person’s clones too, with documents and everybody’s conversations with them",
        required=False,
        widget=UnfoldBooleanWidget,
    )
