"""Good files of every kind become text that a person would recognise; the child cannot hurt the caller."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from textwrap import indent

import docx
import psutil
import pytest

from knowledge.extraction import (
    DEFAULT_LIMITS,
    ExtractedDocument,
    ExtractionError,
    ExtractionLimits,
    detect_kind,
    extract_document,
    run_parser,
)
from knowledge.extraction_process import ParserServer, borrow_server
from knowledge.tests.made_documents import (
    W,
    docx_body,
    make_docx,
    make_pdf,
    make_picture_pdf,
    make_zip,
    paragraph,
    raw_pdf,
    save_docx,
    stream,
)

ROOT = Path(__file__).resolve().parents[2]
Extract = Callable[..., ExtractedDocument]


@pytest.fixture
def extract(tmp_path: Path) -> Extract:
    """Write bytes to a file and extract them under a name."""

    def write_and_extract(
        content: bytes, name: str, limits: ExtractionLimits = DEFAULT_LIMITS
    ) -> ExtractedDocument:
        path = tmp_path / "upload"
        path.write_bytes(content)
        return extract_document(path=path, name=name, limits=limits)

    return write_and_extract


def test_pdf_gives_each_page_and_its_title(extract: Extract) -> None:
    document = extract(make_pdf("First page.", "Second page.", title="On Courage"), "talk.PDF")
    assert (document.kind, document.title, document.warnings) == ("pdf", "On Courage", ())
    assert [(page.number, page.text) for page in document.pages] == [(1, "First page."), (2, "Second page.")]


def test_title_that_a_program_wrote_is_no_title(extract: Extract) -> None:
    assert extract(make_pdf("Words.", title="Microsoft Word - draft3.doc"), "a.pdf").title == ""


def test_pages_without_text_are_counted_and_named(extract: Extract) -> None:
    document = extract(make_picture_pdf(pages=7, text_on=[1, 2, 6]), "scan.pdf")
    assert [page.number for page in document.pages] == [1, 2, 3, 4, 5, 6, 7]
    assert document.pages[2].text == ""
    assert document.warnings == (
        "Pages 3 to 5 and 7 are images and hold no text. Run text recognition (OCR) to include it.",
    )


def test_blank_page_is_not_called_an_image(extract: Extract) -> None:
    assert extract(make_pdf("Words.", ""), "a.pdf").warnings == ("Page 2 holds no text.",)


def test_pdf_that_opens_without_a_password_is_read(extract: Extract) -> None:
    content = make_pdf("For all to read.", password="")
    assert b"/Encrypt" in content
    assert extract(content, "a.pdf").pages[0].text == "For all to read."


@pytest.mark.parametrize(
    ("note", "text"),
    [
        (b"/Widget /FT /Tx /T (name) /TU (Your name) /V (Ada Berg)", "Your name: Ada Berg"),
        (b"/Widget /FT /Tx /T (name) /V (Ada Berg)", "Ada Berg"),
        (b"/FreeText /Contents (Ada Berg)", "Ada Berg"),
        (b"/Widget /FT /Btn /T (name) /V /Yes", ""),
        (b"/Text /Contents (a remark)", ""),
    ],
)
def test_what_was_filled_in_and_typed_onto_a_page_is_read(extract: Extract, note: bytes, text: str) -> None:
    content = raw_pdf(
        [
            b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [6 0 R] >> >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Annots [6 0 R] "
            b"/Resources << /Font << /F1 5 0 R >> >> >>",
            stream(b"BT /F1 12 Tf 50 700 Td (Application) Tj ET"),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /Type /Annot /Subtype %s /Rect [50 600 350 620] >>" % note,
        ]
    )
    assert extract(content, "form.pdf").pages[0].text == f"Application\n{text}".strip()


def test_docx_is_read_in_order_with_headings_lists_and_tables(extract: Extract) -> None:
    source = docx.Document()
    source.core_properties.title = "The Course"
    source.add_heading("Week one", level=1)
    source.add_paragraph("Begin gently.")
    table = source.add_table(rows=2, cols=2)
    for index, words in enumerate(["Day", "Task", "Monday", "Walk"]):
        table.cell(index // 2, index % 2).text = words
    source.add_paragraph("Then rest.")
    source.add_paragraph("Bread", style="List Bullet")
    source.add_paragraph("Butter", style="List Bullet")
    source.add_paragraph("Mix", style="List Number")
    source.add_paragraph("Bake", style="List Number")
    source.add_heading("Details", level=2)
    document = extract(save_docx(source), "course.docx")
    assert document.title == "The Course"
    assert document.pages[0].text == (
        "# Week one\n\nBegin gently.\n\n| Day | Task |\n| Monday | Walk |\n\nThen rest.\n\n"
        "- Bread\n- Butter\n1. Mix\n2. Bake\n\n## Details"
    )


def test_docx_notes_and_text_boxes_are_read_once(extract: Extract) -> None:
    box = f"<w:txbxContent>{paragraph('In the box.')}</w:txbxContent>"
    mc = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    body = (
        '<w:p><w:r><w:t>Claim</w:t><w:footnoteReference w:id="2"/></w:r></w:p>'
        f'<w:p><w:r><mc:AlternateContent xmlns:mc="{mc}"><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}'
        "</mc:Fallback></mc:AlternateContent><w:t>Around it.</w:t></w:r></w:p>"
        "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
        "<w:ins><w:r><w:t>kept</w:t></w:r></w:ins></w:p>"
    )
    notes = (
        f'<w:footnotes xmlns:w="{W}"><w:footnote w:type="separator" w:id="0">{paragraph("")}</w:footnote>'
        f'<w:footnote w:id="2">{paragraph("Proof.")}</w:footnote></w:footnotes>'
    )
    document = extract(docx_body(body, footnotes=notes), "a.docx")
    assert document.pages[0].text == "Claim[^1]\n\nAround it.\n\nIn the box.\n\nkept\n\n[^1]: Proof."


@pytest.mark.parametrize(
    ("stated", "texts"), [(2, ["One.", "Two."]), (3, ["One.\n\nTwo."]), (None, ["One.\n\nTwo."])]
)
def test_docx_pages_are_told_apart_only_when_their_count_is_right(
    extract: Extract, stated: int | None, texts: list[str]
) -> None:
    body = paragraph("One.") + '<w:p><w:r><w:br w:type="page"/></w:r></w:p>' + paragraph("Two.")
    content = docx_body(body)
    if stated:
        target = io.BytesIO(content)
        with zipfile.ZipFile(target, "a") as archive:
            archive.writestr("docProps/app.xml", f"<Properties><Pages>{stated}</Pages></Properties>")
        content = target.getvalue()
    assert [page.text for page in extract(content, "a.docx").pages] == texts


def test_docx_with_a_broken_link_that_stops_python_docx_is_read(extract: Extract) -> None:
    rels = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r1" Target="NULL" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
        'relationships/image"/></Relationships>'
    )
    target = io.BytesIO(docx_body(paragraph("Still here.")))
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("word/_rels/document.xml.rels", rels)
    with pytest.raises(Exception):  # noqa: B017
        docx.Document(io.BytesIO(target.getvalue()))
    assert extract(target.getvalue(), "a.docx").pages[0].text == "Still here."


def test_markdown_keeps_its_marks_and_gives_its_first_heading(extract: Extract) -> None:
    content = b"```\n# not this\n```\n\n# Real *title* #\n\nText.\r\n"
    document = extract(content, "notes.md")
    assert (document.kind, document.title) == ("md", "Real *title*")
    assert document.pages[0].text.endswith("# Real *title* #\n\nText.")


def test_html_becomes_text_without_scripts(extract: Extract) -> None:
    content = (
        b"<!doctype html><html><head><title>A &amp; B</title><style>p{}</style><script>var x='<p>no</p>'"
        b"</script></head><body><h1>Main\n thing</h1><p>Some <b>bold</b>\n text&nbsp;here.<br>Next line.</p>"
        b"<ul><li>one<li>two</ul><ol><li>first</li><li>second</li></ol>"
        b"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>"
        b"<pre>x\n  y</pre><script>never closed"
    )
    document = extract(content, "page.html")
    assert document.title == "A & B"
    assert document.pages[0].text == (
        "# Main thing\n\nSome bold text here.\nNext line.\n\n- one\n- two\n\n1. first\n2. second\n\n"
        "| a | b |\n| c | d |\n\nx\n  y"
    )


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "Grüße – 你好"),
        ("utf-8-sig", "Grüße – 你好"),
        ("utf-16", "Grüße – 你好"),
        ("utf-16-le", "Gruesse without a mark, in Latin letters."),
        ("utf-16-be", "Gruesse without a mark, in Latin letters."),
        ("utf-32", "Grüße – 你好"),
        ("cp1252", "Für die Prüfung müssen Sie die Übungen täglich wiederholen. Größe und Maße zählen. "),
        ("cp1251", "Каждый учитель знает, что повторение является основой обучения. "),
        ("shift_jis", "これは日本語の文章です。専門家の知識を学びます。毎日練習してください。"),
        ("gb18030", "专家的知识非常重要。我们每天都要学习新的东西。请仔细阅读以下内容。"),
    ],
)
def test_text_is_decoded_from_its_encoding(extract: Extract, encoding: str, text: str) -> None:
    assert extract(text.encode(encoding), "a.txt").pages[0].text == text.strip()


def test_html_is_decoded_by_what_it_states(extract: Extract) -> None:
    content = '<html><head><meta charset="koi8-r"></head><body>Привет всем</body></html>'.encode("koi8-r")
    assert extract(content, "a.htm").pages[0].text == "Привет всем"


def test_invisible_characters_are_removed_and_text_is_composed(extract: Extract) -> None:
    content = "Cafe\u0301\x00 \u202eevil\u202c so\u00adft\r\nnext\rlast \n\n\n\n\n\nend".encode()
    assert extract(content, "a.txt").pages[0].text == "Café evil soft\nnext\nlast\n\n\nend"


def test_few_damaged_characters_are_a_warning(extract: Extract) -> None:
    document = extract("Übung macht den größten Könner. ".encode() * 9 + b"\xff", "a.txt")
    assert document.warnings == ("1 character could not be read and shows as \ufffd.",)
    document = extract("Übung macht den größten Könner. ".encode() * 9 + b"\xff \xff", "a.txt")
    assert document.warnings == ("2 characters could not be read and show as \ufffd.",)


@pytest.mark.parametrize(
    "name", ["notes", "notes v1.5", "Dr. Weber", "../../etc/notes.txt", "n" * 296 + ".txt"]
)
def test_text_is_taken_under_any_name_that_does_not_deny_it(extract: Extract, name: str) -> None:
    assert extract(b"plain words", name).kind == "txt"


def docx_with_workbook() -> bytes:
    """As Word saves one with a chart in it."""
    workbook = make_zip({"xl/workbook.xml": b"<workbook/>"}, compression=zipfile.ZIP_STORED)
    return make_zip(
        {"word/embeddings/sheet.xlsx": workbook, "word/document.xml": b"<w/>"}, compression=zipfile.ZIP_STORED
    )


def test_kind_is_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    for content, name, kind in [
        (make_pdf("x"), "a.pdf", "pdf"),
        (make_pdf("x"), "no suffix", "pdf"),
        (make_docx("x"), "a.docx", "docx"),
        (b"<p>a fragment</p>", "a.html", "html"),
        (docx_with_workbook(), "chart.docx", "docx"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html>", "noname", "html"),
        (b"# heading", "a.markdown", "md"),
    ]:
        path.write_bytes(content)
        assert detect_kind(path=path, name=name) == kind


SERVER = """
import sys
from knowledge.extraction_server import main

def work(kind, limits):
{code}

main(sys.argv[1:], work=work)
"""


def run_python(code: str, tmp_path: Path, **limits: float) -> ExtractedDocument:
    """Let Python code stand in for the parser."""
    source = tmp_path / "source"
    source.write_bytes(b"input")
    server = ParserServer(command=[sys.executable, "-c", SERVER.format(code=indent(code, "    "))])
    try:
        with source.open("rb") as stream:
            return run_parser(
                server=server,
                source=stream,
                kind="txt",
                limits=ExtractionLimits(**limits),  # type: ignore[arg-type]
            )
    finally:
        server.close()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.kill(os.getpid(), 11)", "parser_crashed"),
        ("raise SystemExit(3)", "parser_crashed"),
        ("print('not json', flush=True)", "parser_crashed"),
        ("print('{\"page\": 1}', flush=True)", "parser_crashed"),
        ("print('[]', flush=True)", "parser_crashed"),
        ("import os; os.kill(os.getpid(), 9)", "parser_memory"),
        ("import os; os.kill(os.getpid(), 24)", "parser_timeout"),
        ("import time; time.sleep(60)", "parser_timeout"),
        ("import os, time; os.close(1); os.close(2); time.sleep(60)", "parser_timeout"),
        ("while True: print('x' * 100000)", "parser_crashed"),
        ("import sys\nwhile True: sys.stdout.write('x' * 100000)", "too_large"),
    ],
)
def test_death_of_the_parser_is_a_reason(tmp_path: Path, code: str, reason: str) -> None:
    with pytest.raises(ExtractionError) as caught:
        run_python(code, tmp_path, wall_seconds=1.5, output_bytes=2**20)
    assert caught.value.code == reason
    assert caught.value.message.endswith(".")


def test_a_crash_below_a_big_worker_is_not_taken_for_lack_of_memory(tmp_path: Path) -> None:
    ballast = bytearray(700 * 2**20)
    ballast[::4096] = b"x" * len(ballast[::4096])  # resident, not only reserved
    with pytest.raises(ExtractionError) as caught:
        run_python("raise SystemExit(3)", tmp_path, wall_seconds=5)
    assert caught.value.code == "parser_crashed"


def test_largest_size_of_a_parser_that_died_is_known(tmp_path: Path) -> None:
    code = "ballast = b'x' * (200 * 2**20)\nraise SystemExit(3)"
    with pytest.raises(ExtractionError) as caught:
        run_python(code, tmp_path, wall_seconds=10, memory_bytes=300 * 2**20)
    assert caught.value.code == "parser_memory"


def test_what_the_parser_started_dies_with_it(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = (
        "import subprocess, time\n"
        f"p = subprocess.Popen(['sleep', '60']); open({str(mark)!r}, 'w').write(str(p.pid))\ntime.sleep(60)"
    )
    with pytest.raises(ExtractionError):
        run_python(code, tmp_path, wall_seconds=1.5)
    assert ends_soon(int(mark.read_text()))


def ends_soon(pid: int) -> bool:
    """Whether a process is gone within ten seconds: on a busy machine the kernel takes its time."""
    give_up_at = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < give_up_at:
        time.sleep(0.02)
    return not is_alive(pid)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_parser_gets_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a secret")
    code = (
        "import json, os\nprint(json.dumps({'page': 1, 'text': ' '.join(os.environ)}))\n"
        "print(json.dumps({'title': '', 'warnings': []}), flush=True)"
    )
    assert "OPENAI_API_KEY" not in run_python(code, tmp_path).pages[0].text


def test_parser_holds_no_file_of_the_server_nor_of_the_document_before(tmp_path: Path) -> None:
    code = (
        "import json, os\nprint(json.dumps({'page': 1, 'text': ' '.join(os.listdir('/proc/self/fd'))}))\n"
        "print(json.dumps({'title': '', 'warnings': []}), flush=True)"
    )
    assert run_python(code, tmp_path).pages[0].text.split() == ["0", "1", "2", "3"]  # 3 is the listing's own


def test_parser_cannot_write_files_nor_reach_the_network(tmp_path: Path) -> None:
    code = (
        "import json, socket\nfrom knowledge.extraction_child import restrict_process\n"
        "restrict_process(limits=limits)\nfound = []\n"
        f"try: open({str(tmp_path / 'new')!r}, 'w', buffering=1).write('x\\n'); found.append('wrote')\n"
        "except OSError: found.append('no file')\n"
        "try: socket.create_connection(('127.0.0.1', PORT), timeout=1); found.append('connected')\n"
        "except OSError: found.append('no network')\n"
        "print(json.dumps({'page': 1, 'text': ', '.join(found)}))\n"
        "print(json.dumps({'title': '', 'warnings': []}), flush=True)"
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        text = run_python(code.replace("PORT", str(listening.getsockname()[1])), tmp_path).pages[0].text
    assert text.startswith("no file")
    # Some containers let nobody leave the network, root included.
    probe = "import ctypes, sys; c = ctypes.CDLL(None); sys.exit(c.unshare(1 << 30) and c.unshare(5 << 28))"
    if subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0:
        assert text == "no file, no network"


def test_server_is_kept_for_the_next_document_and_replaced_when_it_was_killed(extract: Extract) -> None:
    extract(b"one", "a.txt")
    with borrow_server() as server:
        first = server.pid
    extract(b"two", "a.txt")
    with borrow_server() as server:
        assert server.pid == first
        os.kill(first, signal.SIGKILL)
    assert extract(b"three", "a.txt").pages[0].text == "three"
    with borrow_server() as server:
        assert server.pid != first


def test_parser_that_was_killed_while_it_waited_is_replaced(extract: Extract) -> None:
    extract(b"one", "a.txt")
    with borrow_server() as server:
        server._last.wait(seconds=10)
        (waiting,) = psutil.Process(server.pid).children()
        waiting.kill()
        while waiting.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
    assert extract(b"two", "a.txt").pages[0].text == "two"


def test_server_ends_with_its_worker(tmp_path: Path) -> None:
    code = (
        "import os, signal\nfrom knowledge.extraction_process import SERVER, ParserServer\n"
        "print(ParserServer(command=SERVER).pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ends_soon(int(done.stdout))


@pytest.mark.parametrize("content", [b"words " * 200_000, make_pdf(*["Words. " * 400] * 60)])
def test_text_beyond_the_output_limit_is_refused(extract: Extract, content: bytes) -> None:
    name = "a.pdf" if content.startswith(b"%PDF") else "a.txt"
    with pytest.raises(ExtractionError) as caught:
        extract(content, name, ExtractionLimits(output_bytes=100_000))
    assert caught.value.code == "too_large"


def test_file_beyond_the_size_limit_is_refused(extract: Extract) -> None:
    with pytest.raises(ExtractionError) as caught:
        extract(b"words", "a.txt", ExtractionLimits(file_bytes=4))
    assert caught.value.code == "too_large"


def test_missing_file_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError) as caught:
        extract_document(path=tmp_path / "nothing", name="a.txt")
    assert caught.value.code == "missing_file"
