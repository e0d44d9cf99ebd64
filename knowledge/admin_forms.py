"""Forms of the document pages: upload of many files, replacement, the retrieval check."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from clones.models import Clone
from knowledge.cleaning_costs import PAGE_TOKENS, estimate_cleaning_usd

ACCEPTED = ".pdf,.docx,.txt,.md,.markdown,.html,.htm"


class ManyFilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True
    template_name = "django/forms/widgets/file.html"


class ManyFilesField(forms.FileField):
    """Cleans to a list of files. An empty file is let through: the pipeline refuses it with its reason."""

    widget = ManyFilesInput(attrs={"class": "ax-file", "accept": ACCEPTED})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_empty_file=True, **kwargs)

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[bytes]]:
        files: Sequence[Any] = data if isinstance(data, list | tuple) else [data]
        return [super(ManyFilesField, self).clean(file, initial) for file in files or [None]]


class UploadForm(forms.Form):
    clone = forms.ModelChoiceField(
        queryset=Clone.objects.none(), widget=UnfoldAdminSelectWidget, empty_label="Choose a clone"
    )
    files = ManyFilesField(  # type: ignore[assignment]  # the form's own `files` is an attribute of instances
        label="Files", error_messages={"required": "Choose at least one file."}
    )

    is_cleaning_on = forms.BooleanField(
        label="Clean with AI", required=False, initial=True, widget=UnfoldBooleanSwitchWidget
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        clones = Clone.objects.editable_by(user)
        self.fields["clone"].queryset = clones  # type: ignore[attr-defined]
        self.has_clones = bool(clones)
        cost_usd = estimate_cleaning_usd(tokens=100 * PAGE_TOKENS)
        if cost_usd is None:
            del self.fields["is_cleaning_on"]
        else:
            self.fields["is_cleaning_on"].help_text = (
                f"Mends broken lines and recognition errors of PDF, Word and text files: about ${cost_usd:.3f} for 100 "
                "full pages. Only where the clone has it on too."
            )
        if (
            not self.initial.get("clone") and len(clones) == 1
        ):  # among several, a guess would teach the wrong one
            self.initial["clone"] = clones[0]


class ReplaceForm(forms.Form):
    file = forms.FileField(
        allow_empty_file=True,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ACCEPTED}),
        error_messages={"required": "Choose the new file."},
    )


class CheckForm(forms.Form):
    question = forms.CharField(
        max_length=1000,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Ask as a member would"}),
        error_messages={"required": "Type a question."},
    )
