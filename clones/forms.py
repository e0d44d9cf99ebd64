"""What people type on the clones' pages."""

from django import forms


class GallerySearchForm(forms.Form):
    q = forms.CharField(
        label="Search experts and topics",
        required=False,
        max_length=100,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "Search by name or topic", "autocomplete": "off"}
        ),
    )
