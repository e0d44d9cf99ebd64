"""Bad files of many kinds: each ends in an ExtractionError that names the cure, and the next file is read."""

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from knowledge.extraction import ExtractionError, ExtractionLimits, extract_document
from knowledge.tests.made_documents import (
    CONTENT_TYPES,
    W,
    docx_body,
    docx_of,
    make_docx,
    make_pdf,
    make_picture_pdf,
    make_zip,
    one_page_pdf,
    paragraph,
    raw_pdf,
    stream,
)

# A twentieth of the real limits, so that a bomb is quick to make and to refuse.
LIMITS = ExtractionLimits(
    wall_seconds=20, cpu_seconds=4, zip_unpacked_bytes=10 * 2**20, pages=500, memory_bytes=256 * 2**20
)
DOCUMENT = f'<w:document xmlns:w="{W}"><w:body>{{}}</w:body></w:document>'
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)
CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"


def many_pages_pdf(count: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % number for number in range(3, count + 3))
    pages = b"<< /Type /Pages /Kids [%s] /Count %d /MediaBox [0 0 9 9] >>" % (kids, count)
    return raw_pdf([CATALOG, pages, *[b"<< /Type /Page /Parent 2 0 R >>"] * count])


def entity_bomb(encoding: str = "utf-8") -> bytes:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE x [<!ENTITY e0 "ha">{levels}]>'
    return (text + DOCUMENT.format(paragraph("&e9;"))).encode(encoding)


def zip_with_wrong_size() -> bytes:
    """The directory says one byte where the part has many."""
    content = bytearray(docx_body(paragraph("words " * 500)))
    position = content.rindex(b"PK\x01\x02")
    struct.pack_into("<L", content, position + 24, 1)
    return bytes(content)


def encrypted_zip() -> bytes:
    content = bytearray(docx_body(paragraph("words")))
    position = -1
    while (position := content.find(b"PK\x01\x02", position + 1)) >= 0:
        content[position + 8] |= 1
    return bytes(content)


def overlapping_zip() -> bytes:
    """Two hundred names for the same packed megabyte."""
    packed = make_zip({"word/document.xml": Random(1).randbytes(30_000)})
    start = packed.index(b"PK\x01\x02")
    entry = packed[start : packed.index(b"PK\x05\x06")]
    directory = b"".join(entry.replace(b"word/document.xml", b"word/documen%05d" % n) for n in range(200))
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 200, 200, len(directory), start, 0)
    return packed[:start] + directory + end


def huge_directory_zip() -> bytes:
    """A directory of two million entries, as its end record says; reading it would take a gigabyte."""
    content = bytearray(docx_body(paragraph("words")))
    struct.pack_into("<L", content, content.rindex(b"PK\x05\x06") + 12, 100 * 2**20)
    return bytes(content)


def nested_zip() -> bytes:
    inner = make_zip({"zeros": bytes(2**20)})
    for _level in range(5):
        inner = make_zip({f"{n}.zip": inner for n in range(4)})
    return inner


def docx_with(name: str, content: bytes) -> bytes:
    target = io.BytesIO(make_docx("words"))
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return target.getvalue()


def self_drawing_pdf() -> bytes:
    """A form that draws itself twice, in a page that draws it."""
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 6 0 R >> >>"
    return one_page_pdf(
        content=stream(b"/X Do /X Do"),
        more_objects=[stream(b"/X Do /X Do", extra=form)],
        resources=b"/XObject << /X 6 0 R >>",
    )


def exploding_forms_pdf() -> bytes:
    """Twelve forms that each draw the next one twenty times: 20 to the 12th drawings."""
    forms = []
    for number in range(7, 19):
        extra = (
            b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X %d 0 R >> >>"
            % number
        )
        forms.append(stream(b"/X Do " * 20, extra=extra))
    forms.append(stream(b"BT /F1 9 Tf (x) Tj ET", extra=b"/Type /XObject /Subtype /Form /BBox [0 0 9 9]"))
    return one_page_pdf(content=stream(b"/X Do"), more_objects=forms, resources=b"/XObject << /X 6 0 R >>")


Maker = Callable[[], bytes]
HOSTILE: dict[str, tuple[str, Maker, set[str]]] = {
    "0 bytes": ("a.pdf", lambda: b"", {"empty_file"}),
    "only spaces": ("a.txt", lambda: b" \n\t\r\n" * 50, {"no_text"}),
    "only control characters": ("a.txt", lambda: b"\x00\x01\x02" * 500, {"unsupported_type"}),
    "random bytes as text": ("a.txt", lambda: Random(1).randbytes(5_000), {"unsupported_type"}),
    "random bytes as Markdown": ("a.md", lambda: Random(2).randbytes(90_000), {"unsupported_type"}),
    "broken UTF-16": ("a.txt", lambda: b"\xff\xfe" + b"\x00\xd8" * 900, {"corrupt"}),
    "program as text": ("a.txt", lambda: b"\x7fELF" + bytes(900), {"unsupported_type"}),
    "picture as PDF": ("a.pdf", lambda: b"\x89PNG\r\n\x1a\n" + bytes(90), {"unsupported_type"}),
    "text as PDF": ("a.pdf", lambda: b"just words", {"type_mismatch"}),
    "text as DOCX": ("a.docx", lambda: b"just words", {"type_mismatch"}),
    "web page as text": ("a.txt", lambda: b"<!DOCTYPE html><html>hi</html>", {"type_mismatch"}),
    "PDF as DOCX": ("a.docx", lambda: make_pdf("x"), {"type_mismatch"}),
    "DOCX as PDF": ("a.pdf", lambda: make_docx("x"), {"type_mismatch"}),
    "PDF behind a zip": ("a.pdf", lambda: make_zip({"a": b"a"}) + make_pdf("x"), {"unsupported_type"}),
    "PDF as a program": ("a.exe", lambda: make_pdf("x"), {"unsupported_type"}),
    "web page with a PDF header": ("a.pdf", lambda: b"<html><!-- %PDF-1.4 -->", {"corrupt"}),
    "gzip": ("a.txt", lambda: gzip.compress(b"words"), {"unsupported_type"}),
    "rich text": ("a.rtf", lambda: b"{\\rtf1 words}", {"unsupported_type"}),
    "workbook as DOCX": ("a.docx", lambda: make_zip({"xl/workbook.xml": b"x"}), {"unsupported_type"}),
    "old Word": ("a.doc", lambda: OLE + "WordDocument".encode("utf-16-le"), {"unsupported_type"}),
    "encrypted DOCX": ("a.docx", lambda: OLE + "EncryptedPackage".encode("utf-16-le"), {"encrypted"}),
    "scripts only": ("a.html", lambda: b"<html><script>alert(1)</script><style>p{}</style>", {"no_text"}),
    "PDF header only": ("a.pdf", lambda: b"%PDF-1.7\n", {"corrupt"}),
    "PDF cut short": ("a.pdf", lambda: make_pdf("words")[:200], {"corrupt"}),
    "PDF of noise": ("a.pdf", lambda: b"%PDF-1.7\n" + Random(3).randbytes(9_000), {"corrupt"}),
    "encrypted PDF": ("a.pdf", lambda: make_pdf("words", password="open sesame"), {"encrypted"}),
    "scan": ("a.pdf", lambda: make_picture_pdf(pages=2), {"no_text"}),
    "blank PDF": ("a.pdf", lambda: make_pdf("", ""), {"no_text"}),
    "501 pages": ("a.pdf", lambda: many_pages_pdf(501), {"too_many_pages"}),
    "page tree that holds itself": (
        "a.pdf",
        lambda: raw_pdf([CATALOG, b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 9 >>"]),
        {"corrupt", "no_text"},
    ),
    "page count of two billion": (
        "a.pdf",
        lambda: raw_pdf([CATALOG, b"<< /Type /Pages /Kids [] /Count 2000000000 >>"]),
        {"corrupt", "too_many_pages", "no_text"},
    ),
    "catalog that is a loop of links": (
        "a.pdf",
        lambda: raw_pdf([b"2 0 R", b"3 0 R", b"1 0 R"]),
        {"corrupt"},
    ),
    "cross-reference that points at itself": (
        "a.pdf",
        lambda: raw_pdf([CATALOG], trailer=b"/Root 1 0 R /Prev 62"),
        {"corrupt"},
    ),
    "array of arrays": (
        "a.pdf",
        lambda: raw_pdf([b"[" * 200_000 + b"]" * 200_000, CATALOG]),
        {"too_complex", "corrupt"},
    ),
    "form that draws itself": ("a.pdf", self_drawing_pdf, {"parser_memory", "parser_timeout", "no_text"}),
    "forms that explode": ("a.pdf", exploding_forms_pdf, {"parser_timeout", "parser_memory", "no_text"}),
    "stream bomb": (
        "a.pdf",
        lambda: one_page_pdf(content=stream(b" " * (300 * 2**20))),
        {"parser_memory", "parser_timeout", "parser_crashed", "no_text"},
    ),
    "zip bomb": (
        "a.docx",
        lambda: docx_of(DOCUMENT.format(paragraph(Random(4).randbytes(9).hex() * 900_000))),
        {"zip_bomb"},
    ),
    "zip bomb by ratio": ("a.docx", lambda: docx_of(bytes(2 * 2**20)), {"zip_bomb"}),
    "zip of 3,000 parts": (
        "a.docx",
        lambda: make_zip({f"word/{n}.xml": b"" for n in range(3_000)}, compression=zipfile.ZIP_STORED),
        {"zip_bomb"},
    ),
    "zip with a huge directory": ("a.docx", huge_directory_zip, {"zip_bomb"}),
    "zip with overlapping parts": ("a.docx", overlapping_zip, {"corrupt"}),
    "zip that lies about sizes": ("a.docx", zip_with_wrong_size, {"corrupt"}),
    "zip of zips": ("a.docx", nested_zip, {"type_mismatch", "zip_bomb"}),
    "DOCX with a zip inside": (
        "a.docx",
        lambda: docx_with("word/embeddings/a.zip", nested_zip()),
        {"zip_bomb"},
    ),
    "encrypted zip": ("a.docx", encrypted_zip, {"encrypted"}),
    "zip without a document": ("a.docx", lambda: make_zip({"word/x": b"x"}), {"type_mismatch"}),
    "DOCX cut short": ("a.docx", lambda: make_docx("words")[:900], {"corrupt"}),
    "DOCX without its middle": (
        "a.docx",
        lambda: (lambda whole: whole[:400] + whole[3000:])(make_docx("words")),
        {"corrupt"},
    ),
    "entity bomb": ("a.docx", lambda: docx_of(entity_bomb()), {"unsafe_xml"}),
    "entity bomb in UTF-16": ("a.docx", lambda: docx_of(entity_bomb("utf-16")), {"unsafe_xml"}),
    "external entity": (
        "a.docx",
        lambda: docx_of(
            '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + DOCUMENT.format(paragraph("&e;"))
        ),
        {"unsafe_xml"},
    ),
    "deep XML": (
        "a.docx",
        lambda: docx_body("<w:sdt><w:sdtContent>" * 5_000 + "</w:sdtContent></w:sdt>" * 5_000),
        {"too_complex"},
    ),
    "broken XML": ("a.docx", lambda: docx_of(f'<w:document xmlns:w="{W}"><w:body>'), {"corrupt"}),
    "DOCX without text": ("a.docx", lambda: docx_body("<w:p/>"), {"no_text"}),
    "DOCX without parts": (
        "a.docx",
        lambda: make_zip({"[Content_Types].xml": CONTENT_TYPES}),
        {"type_mismatch"},
    ),
    "name with RTL override": ("txt.\u202efdp.exe", lambda: b"MZ\x90" + bytes(50), {"unsupported_type"}),
    "name with HTML": ("<img src=x onerror=alert(1)>.docx", lambda: b"words", {"type_mismatch"}),
    "name with a path": ("../../../etc/passwd.pdf", lambda: b"words", {"type_mismatch"}),
    "name of 300 characters": ("n" * 300 + ".pdf", lambda: b"words", {"type_mismatch"}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_file_ends_with_a_reason_and_a_cure(case: str, tmp_path: Path) -> None:
    name, make, codes = HOSTILE[case]
    path = tmp_path / "upload"
    path.write_bytes(make())
    with pytest.raises(ExtractionError) as caught:
        extract_document(path=path, name=name, limits=LIMITS)
    assert caught.value.code in codes
    message = caught.value.message
    assert message.endswith(".")
    assert len(message.split()) > 10
    assert "<" not in message
    assert "n" * 50 not in message
    path.write_bytes(make_pdf("Still reading."))
    assert extract_document(path=path, name="next.pdf", limits=LIMITS).pages[0].text == "Still reading."


def test_deep_html_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"<html>" + b"<div><ul><li>" * 30_000 + b"the core" + b"</div>" * 10_000)
    pages = extract_document(path=path, name="a.html", limits=LIMITS).pages
    assert "the core" in pages[0].text


def test_parser_that_needs_too_much_memory_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"many words " * 2_000_000)
    with pytest.raises(ExtractionError) as caught:
        extract_document(path=path, name="a.txt", limits=ExtractionLimits(memory_bytes=60 * 2**20))
    assert caught.value.code == "parser_memory"


def test_slow_file_is_stopped_at_the_wall_limit(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"many words " * 2_000_000)  # not done before anybody looks at the clock
    with pytest.raises(ExtractionError) as caught:
        extract_document(path=path, name="a.txt", limits=ExtractionLimits(wall_seconds=0.001))
    assert caught.value.code == "parser_timeout"
