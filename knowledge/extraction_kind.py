"""Decides what a file is by its content and refuses a name that says otherwise; enter at `detect_kind`.

Reads at most the first and last 256 KiB, and parses nothing, so it is safe in a web process.
"""

import re
from pathlib import Path

from knowledge.extraction_types import ExtractionError

_EDGE_BYTES = 256 * 1024
_PDF_HEADER_WITHIN_BYTES = 1024
_CONTROL_BYTES = bytes(set(range(32)) - {7, 8, 9, 10, 11, 12, 13, 26, 27})

KIND_BY_SUFFIX = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".docm": "docx",
    ".txt": "txt",
    ".text": "txt",
    ".md": "md",
    ".markdown": "md",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
}
_KIND_NAMES = {
    "pdf": "a PDF",
    "docx": "a Word document (DOCX)",
    "txt": "plain text",
    "md": "Markdown text",
    "html": "a web page (HTML)",
}
_READABLE = "PDF, DOCX, TXT, Markdown and HTML can be read."

_OTHER_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"{\\rtf", "an RTF document", "Open it in a word processor and save it as .docx."),
    (b"%!PS", "a PostScript file", "Convert it to PDF."),
    (b"\x89PNG\r\n", "a picture", "Run text recognition (OCR) on it and upload the PDF that comes out."),
    (b"\xff\xd8\xff", "a picture", "Run text recognition (OCR) on it and upload the PDF that comes out."),
    (b"GIF8", "a picture", "Run text recognition (OCR) on it and upload the PDF that comes out."),
    (b"II*\x00", "a picture", "Run text recognition (OCR) on it and upload the PDF that comes out."),
    (b"MM\x00*", "a picture", "Run text recognition (OCR) on it and upload the PDF that comes out."),
    (b"RIFF", "a media file", "Upload a transcript of it as text."),
    (b"ID3", "a sound file", "Upload a transcript of it as text."),
    (b"OggS", "a media file", "Upload a transcript of it as text."),
    (b"\x1f\x8b", "a compressed archive", "Unpack it and upload the documents in it."),
    (b"BZh", "a compressed archive", "Unpack it and upload the documents in it."),
    (b"7z\xbc\xaf", "a compressed archive", "Unpack it and upload the documents in it."),
    (b"Rar!", "a compressed archive", "Unpack it and upload the documents in it."),
    (b"\xfd7zXZ", "a compressed archive", "Unpack it and upload the documents in it."),
    (b"\x7fELF", "a program", "Upload the document itself."),
    (b"MZ\x90", "a program", "Upload the document itself."),
)
_ZIP_CONTENTS: tuple[tuple[bytes, str, str], ...] = (
    (b"xl/workbook", "an Excel workbook", "Save the sheets as PDF or copy them into a DOCX."),
    (b"ppt/presentation", "a PowerPoint presentation", "Save it as PDF."),
    (b"META-INF/container.xml", "an EPUB book", "Convert it to PDF or DOCX."),
)
_OPEN_DOCUMENT = b"application/vnd.oasis.opendocument"
_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES = 22
# Names of storages in an OLE container are UTF-16.
_OLE_CONTENTS: tuple[tuple[str, str, str], ...] = (
    (
        "WordDocument",
        "a Word document of the old .doc format",
        "Open it in a word processor and save it as .docx.",
    ),
    (
        "Workbook",
        "an Excel workbook of the old .xls format",
        "Save the sheets as PDF or copy them into a DOCX.",
    ),
    ("PowerPoint Document", "a presentation of the old .ppt format", "Save it as PDF."),
)
_HTML_START = re.compile(
    rb"(?:<\?xml[^>]*>|<!--.*?-->|\s)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_XML_START = re.compile(rb"\s*<\?xml\b")
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def detect_kind(*, path: Path, name: str) -> str:
    """Return "pdf", "docx", "txt", "md" or "html" by the content of the file at `path`, uploaded as `name`.

    Raises ExtractionError: missing_file, empty_file, encrypted, unsupported_type, type_mismatch.
    """
    head, tail = _read_edges(path=path)
    if not head:
        raise ExtractionError(
            code="empty_file",
            message="The file is empty (0 bytes). Check that it was saved completely and upload it again.",
        )
    suffix = _suffix_of(name=name)
    claimed = KIND_BY_SUFFIX.get(suffix)
    found = _kind_by_content(head=head, tail=tail, claimed=claimed)
    if suffix and claimed is None:
        raise _unsupported(
            what=f"{_KIND_NAMES[found]} by its content, but its name ends in a type that is not read here",
            cure="Save it as one of these and upload that.",
        )
    if claimed is not None and claimed != found:
        raise ExtractionError(
            code="type_mismatch",
            message=f"The name says {_KIND_NAMES[claimed]}, but the content is {_KIND_NAMES[found]}. "
            "Rename the file to what it is, or upload the file you meant.",
        )
    return found


def _read_edges(*, path: Path) -> tuple[bytes, bytes]:
    try:
        with path.open("rb") as source:
            head = source.read(_EDGE_BYTES)
            size_bytes = source.seek(0, 2)
            source.seek(max(0, size_bytes - _EDGE_BYTES))
            return head, source.read(_EDGE_BYTES)
    except OSError as problem:
        raise ExtractionError(
            code="missing_file",
            message="The stored file is missing. Delete the document and upload it again.",
        ) from problem


def _suffix_of(*, name: str) -> str:
    """The last extension in lower case, "" when what follows the dot is no type ("Dr. Smith", "v1.5")."""
    match = re.search(r"\.([A-Za-z0-9]{1,10})\s*$", name)
    if match is None or match[1].isdigit():
        return ""
    return f".{match[1].lower()}"


def _kind_by_content(*, head: bytes, tail: bytes, claimed: str | None) -> str:
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_zip(head=head, tail=tail, claimed=claimed)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise _ole_error(edges=head + tail)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"%PDF-") or (claimed == "pdf" and b"%PDF-" in head[:_PDF_HEADER_WITHIN_BYTES]):
        return "pdf"
    for signature, what, cure in _OTHER_SIGNATURES:
        if head.startswith(signature):
            raise _unsupported(what=what, cure=cure)
    _refuse_binary(head=head)
    return _kind_of_text(head=head, claimed=claimed)


def _kind_of_zip(*, head: bytes, tail: bytes, claimed: str | None) -> str:
    """By the names of the parts, in the zip's directory: what is embedded has a directory of its own."""
    names = _zip_directory(tail) or head + tail
    if _OPEN_DOCUMENT in head[:256]:
        raise _unsupported(what="an OpenDocument file", cure="Save it as .docx or PDF.")
    is_word = b"word/" in names
    for mark, what, cure in _ZIP_CONTENTS:
        if mark in names:
            raise _unsupported(what=what, cure=cure)
    # A damaged DOCX may show no names at all: its parser finds the words for that.
    if is_word or claimed == "docx":
        return "docx"
    raise _unsupported(what="a zip archive", cure="Unpack it and upload the documents in it.")


def _zip_directory(tail: bytes) -> bytes:
    """The directory at the end of a zip; "" when it does not lie within `tail`."""
    end = tail.rfind(_ZIP_END)
    if end < 0 or len(tail) < end + _ZIP_END_BYTES:
        return b""
    size_bytes = int.from_bytes(tail[end + 12 : end + 16], "little")
    return tail[end - size_bytes : end] if 0 < size_bytes <= end else b""


def _ole_error(*, edges: bytes) -> ExtractionError:
    if "EncryptedPackage".encode("utf-16-le") in edges:
        return ExtractionError(
            code="encrypted",
            message="The document is protected by a password. Open it, remove the password (File, Info, "
            "Protect Document), save it and upload it again.",
        )
    for mark, what, cure in _OLE_CONTENTS:
        if mark.encode("utf-16-le") in edges:
            return _unsupported(what=what, cure=cure)
    return _unsupported(
        what="an Office file of an old format",
        cure="Open it in the program that made it and save it as .docx or PDF.",
    )


def _refuse_binary(*, head: bytes) -> None:
    """Raise when the bytes cannot be text. A few control characters are cleaned later; many mean data."""
    if head.startswith(_BYTE_ORDER_MARKS):
        return
    zeros = head.count(0)
    # UTF-16 without a mark has a zero in nearly every pair of Latin letters; UTF-32 in three of four bytes.
    if zeros and max(head[0::2].count(0), head[1::2].count(0)) > 0.9 * zeros > 0.15 * len(head):
        return
    controls = len(head) - len(head.translate(None, _CONTROL_BYTES))
    if controls > max(2, 0.01 * len(head)):
        raise _unsupported(what="binary data", cure="If it is text in an unusual encoding, save it as UTF-8.")


def _kind_of_text(*, head: bytes, claimed: str | None) -> str:
    start = head.removeprefix(b"\xef\xbb\xbf")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        start = start.decode("utf-16", "ignore").encode()
    if _HTML_START.match(start):
        return "html"
    if claimed == "pdf" or claimed == "docx":
        return "txt"
    if claimed is None and _XML_START.match(start):
        raise _unsupported(what="XML data", cure="Save the document as DOCX, PDF or HTML.")
    return claimed or "txt"


def _unsupported(*, what: str, cure: str) -> ExtractionError:
    return ExtractionError(code="unsupported_type", message=f"The file is {what}. {_READABLE} {cure}")
