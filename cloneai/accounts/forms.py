"""What members type on their account's pages."""

from typing import Any

from allauth.account.forms import SignupForm as AllauthSignupForm
from django import forms
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from cloneai.accounts.models import ApiKey, Scope


class SignupForm(AllauthSignupForm):
    """As long in answering for an address that has an account already: only its owner is told, by mail."""

    def try_save(self, request: HttpRequest) -> Any:
        if self.account_already_exists:
            make_password(self.cleaned_data["password1"])
        return super().try_save(request)


class ApiKeyForm(forms.ModelForm[ApiKey]):
    scopes = forms.MultipleChoiceField(
        label="What it may be used for",
        choices=Scope.choices,
        initial=Scope.values,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one."},
    )

    class Meta:
        model = ApiKey
        fields = ["name", "scopes"]
        labels = {"name": "Name"}
        help_texts = {"name": "Where you will use it, so that you know later which one to revoke."}
        error_messages = {"name": {"required": "Give the key a name."}}
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "off", "placeholder": "My notebook"})}

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.initial["name"] = ""
