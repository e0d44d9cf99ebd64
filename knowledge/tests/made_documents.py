"""Makes the tests' files: small good ones, and parts for bad ones. All of it is bytes in memory."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import docx
from fpdf import FPDF
from fpdf.enums import EncryptionMethod

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
CONTENT_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)


def make_pdf(*page_texts: str, title: str = "", password: str | None = None) -> bytes:
    """A PDF with one page per text; "" makes an empty page, and as the password a PDF that opens without."""
    pdf = FPDF()
    pdf.set_font("Helvetica", size=12)
    if title:
        pdf.set_title(title)
    if password is not None:
        pdf.set_encryption("owner", user_password=password, encryption_method=EncryptionMethod.RC4)
    for text in page_texts:
        pdf.add_page()
        if text:
            pdf.multi_cell(0, 6, text)
    return bytes(pdf.output())


def make_picture_pdf(*, pages: int, text_on: Sequence[int] = ()) -> bytes:
    """A PDF of pages that show a picture; those numbered in `text_on` hold text too."""
    from PIL import Image

    pdf = FPDF()
    pdf.set_font("Helvetica", size=12)
    for number in range(1, pages + 1):
        pdf.add_page()
        pdf.image(Image.new("RGB", (8, 8), "gray"), w=100)
        if number in text_on:
            pdf.cell(text=f"Words on page {number}.")
    return bytes(pdf.output())


def raw_pdf(objects: Sequence[bytes], *, trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A PDF of hand-written objects, numbered from 1, with a true cross-reference table."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d %s >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, trailer, start)
    return bytes(out)


def stream(content: bytes, *, extra: bytes = b"") -> bytes:
    """A PDF stream object's body, deflated."""
    packed = zlib.compress(content, 9)
    return b"<< /Length %d /Filter /FlateDecode %s >>\nstream\n%s\nendstream" % (len(packed), extra, packed)


def one_page_pdf(*, content: bytes, more_objects: Sequence[bytes] = (), resources: bytes = b"") -> bytes:
    """A PDF whose one page has this content stream; `more_objects` are numbered from 6."""
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Resources << "
    page += b"/Font << /F1 5 0 R >> "
    return raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            page + resources + b" >> >>",
            content,
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            *more_objects,
        ]
    )


def make_zip(parts: Mapping[str, bytes | str], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


def docx_of(document_xml: bytes | str, **parts: bytes | str) -> bytes:
    """A DOCX around a hand-written document part; `parts` are further parts of the word folder by name."""
    more = {f"word/{name}.xml": content for name, content in parts.items()}
    return make_zip({"[Content_Types].xml": CONTENT_TYPES, "word/document.xml": document_xml, **more})


def docx_body(body_xml: str, **parts: bytes | str) -> bytes:
    """A DOCX with this XML in its body."""
    document = f'<w:document xmlns:w="{W}"><w:body>{body_xml}</w:body></w:document>'
    return docx_of(document, **parts)


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def save_docx(document: object) -> bytes:
    """The bytes of a python-docx document."""
    target = io.BytesIO()
    document.save(target)  # type: ignore[attr-defined]
    return target.getvalue()


def make_docx(*paragraphs: str) -> bytes:
    document = docx.Document()
    for text in paragraphs:
        document.add_paragraph(text)
    return save_docx(document)
