"""What was filled into a PDF's form or typed onto its pages: a person sees it, the page's own text does not hold it.

The values are read, not drawn into the page: PDFium's flattening confuses fonts of the same name.
"""

import ctypes
from collections.abc import Callable, Iterator

import pypdfium2
import pypdfium2.raw as pdfium_c

_NOTES_LOOKED_AT = 1000  # of one page
_LONGEST_VALUE_BYTES = 1024 * 1024
_WRITTEN_FIELDS = frozenset(
    {pdfium_c.FPDF_FORMFIELD_TEXTFIELD, pdfium_c.FPDF_FORMFIELD_COMBOBOX, pdfium_c.FPDF_FORMFIELD_LISTBOX}
)


def read_page_notes(page: pypdfium2.PdfPage) -> Iterator[str]:
    """The values of filled-in fields, each with its label if it has one, and the texts of text boxes."""
    for number in range(min(pdfium_c.FPDFPage_GetAnnotCount(page), _NOTES_LOOKED_AT)):
        note = pdfium_c.FPDFPage_GetAnnot(page, number)
        if not note:
            continue
        try:
            kind = pdfium_c.FPDFAnnot_GetSubtype(note)
            if kind == pdfium_c.FPDF_ANNOT_FREETEXT:
                text = _read_text(pdfium_c.FPDFAnnot_GetStringValue, note, b"Contents")
            elif kind == pdfium_c.FPDF_ANNOT_WIDGET and page.formenv is not None:
                text = _read_field(form=page.formenv, note=note)
            else:
                continue
        finally:
            pdfium_c.FPDFPage_CloseAnnot(note)
        if text:
            yield text


def _read_field(*, form: pypdfium2.PdfFormEnv, note: object) -> str:
    """ "Label: value" of a field that holds words; "" for buttons, boxes to tick and empty ones."""
    if pdfium_c.FPDFAnnot_GetFormFieldType(form, note) not in _WRITTEN_FIELDS:
        return ""
    value = _read_text(pdfium_c.FPDFAnnot_GetFormFieldValue, form, note)
    if not value:
        return ""
    label = _read_text(pdfium_c.FPDFAnnot_GetFormFieldAlternateName, form, note)
    return f"{label}: {value}" if label else value


def _read_text(read: Callable[..., int], *arguments: object) -> str:
    """What one of PDFium's functions that fill a UTF-16 buffer has to say."""
    size_bytes = min(read(*arguments, None, 0), _LONGEST_VALUE_BYTES)
    buffer = (ctypes.c_ushort * (size_bytes // 2 + 1))()
    if read(*arguments, buffer, size_bytes) > size_bytes:
        return ""
    return bytes(buffer)[:size_bytes].decode("utf-16-le", "replace").rstrip("\x00").strip()
