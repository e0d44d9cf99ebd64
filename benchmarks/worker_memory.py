"""How much memory does a worker need for a file as large as may be uploaded, and its parser beside it?

A text of 49 MB, which is text throughout, and a PDF of 49 MB, which is pictures nearly throughout: each is ingested
in a process of its own as a worker does it, against a provider that answers at once. Peaks are resident sizes as the
kernel counts them; the parser's includes what it shares with the server that it was forked from.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping

from benchmarks.harness import FOLDER, Result
from benchmarks.ingestion_setup import make_clone, make_text, paced_provider, upload_all, use_fake_provider

MEBIBYTE = 2**20
FILE_BYTES = 49 * MEBIBYTE
PROMISED_MEBIBYTES = 400
PICTURE_PIXELS = 1_000
INGEST = """
import json, sys
import django
django.setup()
from knowledge import extraction_process
from knowledge.ingestion import ingest_document

peaks = []
wait = extraction_process.ParserProcess.wait

def note_ending(parser, *, seconds):
    ending = wait(parser, seconds=seconds)
    if ending is not None:
        peaks.append(ending.peak_memory_bytes)
    return ending

extraction_process.ParserProcess.wait = note_ending
ingest_document(document_id=sys.argv[1])
while extraction_process._idle:
    server = extraction_process._idle.pop()
    server._last.wait(seconds=10)
    server.close()
# Not ru_maxrss, which begins with what the process that started this one had.
own = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"worker": own, "parser": max(peaks, default=0)}))
"""


def run() -> Result:
    from knowledge.models import Document, Status

    rows: list[tuple[object, ...]] = []
    peaks = []
    with paced_provider() as base_url:
        environment = use_fake_provider(base_url) | {"DOCUMENT_PROBES": "false"}
        clone = make_clone()
        for kind, content in (("text", make_large_text()), ("PDF", make_large_pdf())):
            (document,) = upload_all(clone=clone, files=[content])
            found = ingest(document_id=str(document.pk), environment=environment)
            document = Document.objects.get(pk=document.pk)
            assert document.status == Status.READY, document.error_message
            worker, parser = (found[name] / MEBIBYTE for name in ("worker", "parser"))
            peaks.append(worker)
            size = f"{document.size_bytes / MEBIBYTE:.0f} MB"
            rows.append((f"{kind}, {size}", document.chunk_count, f"{worker:.0f}", f"{parser:.0f}"))
    ratio = max(peaks) / PROMISED_MEBIBYTES
    return Result(
        name="worker_memory",
        question="how much memory does a worker need for the largest file?",
        ratio=ratio,
        ratio_of=f"the worker's peak / {PROMISED_MEBIBYTES} MB; at most 1",
        is_good=ratio <= 1,
        columns=("file", "passages", "worker (MB)", "its parser (MB)"),
        rows=rows,
    )


def ingest(*, document_id: str, environment: Mapping[str, str]) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", INGEST, document_id],
        cwd=FOLDER.parent,
        env=dict(environment),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def make_large_text() -> bytes:
    def pieces() -> Iterator[bytes]:
        size = number = 0
        while size < FILE_BYTES:
            piece = make_text(number, words=50_000).encode()
            number, size = number + 1, size + len(piece)
            yield piece

    return b"".join(pieces())[:FILE_BYTES]


def make_large_pdf() -> bytes:
    """Pages of a picture with a caption; the pictures are noise, so that no filter makes them small."""
    import numpy as np
    from fpdf import FPDF
    from PIL import Image

    random = np.random.default_rng(1)
    pdf = FPDF()
    pdf.set_font("helvetica", size=11)
    for number in range(FILE_BYTES // (3 * PICTURE_PIXELS**2)):
        pixels = random.integers(0, 256, (PICTURE_PIXELS, PICTURE_PIXELS, 3), dtype=np.uint8)
        pdf.add_page()
        pdf.multi_cell(0, 5, make_text(number, words=300))
        pdf.image(Image.fromarray(pixels), w=100)
    return bytes(pdf.output())
