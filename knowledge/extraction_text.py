"""Plain text and Markdown: finds the encoding, and cleans the characters of any text that was extracted.

Every parser passes its text through `clean_text`, so what is stored is NFC, has "\\n" line ends, no control
characters, no lone surrogates and no invisible filling.
"""

import codecs
import mmap
import re
import unicodedata

from knowledge.extraction_types import ExtractedDocument, ExtractedPage, ExtractionError, ExtractionLimits

_SAMPLE_BYTES = 64 * 1024
_TITLE_CHARACTERS = 200
# C0 and C1 controls but tab and newline, surrogates, soft hyphen, word joiner, BOM, direction overrides
# (which can make a text read differently from what it says), interlinear marks, non-characters.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\u00ad\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069"
    "\ufff9-\ufffb\ufffe\uffff]+"
)
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_SPACES_AT_LINE_END = re.compile("(?<![ \t\u00a0])[ \t\u00a0]+\n")
_MANY_BLANK_LINES = re.compile("\n{4,}")
_MANY_SPACES = re.compile(" {64,}")
_MARKDOWN_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
_MARKDOWN_FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1", re.MULTILINE | re.DOTALL)


def clean_text(text: str) -> str:
    """Return `text` without what a person cannot see; words, lines and paragraphs stay where they are."""
    text = _LINE_END.sub("\n", text)
    text = _UNWANTED.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    # Looking first is many times faster than a pattern that tries every space of a long text.
    if any(end in text for end in (" \n", "\t\n", "\u00a0\n")):
        text = _SPACES_AT_LINE_END.sub("\n", text)
    if " " * 64 in text:
        text = _MANY_SPACES.sub(" " * 64, text)
    if "\n\n\n\n" in text:
        text = _MANY_BLANK_LINES.sub("\n\n\n", text)
    return text.strip("\n").rstrip()


def clean_title(text: str) -> str:
    """Return `text` as one line of at most 200 characters."""
    return " ".join(clean_text(text).split())[:_TITLE_CHARACTERS]


def decode_text(data: bytes | mmap.mmap) -> tuple[str, tuple[str, ...]]:
    """Decode bytes of unknown encoding; returns the text and warnings. Raises ExtractionError(corrupt)."""
    raw = bytes(data)
    marked = _encoding_by_mark(raw)
    if marked is not None:
        return _decode_leniently(raw, encoding=marked)
    zeros = raw[:_SAMPLE_BYTES].count(0)
    if zeros > 0.15 * min(len(raw), _SAMPLE_BYTES):
        odd_zeros = raw[1:_SAMPLE_BYTES:2].count(0)
        return _decode_leniently(raw, encoding="utf-16-le" if odd_zeros > zeros / 2 else "utf-16-be")
    try:
        return raw.decode("utf-8"), ()
    except UnicodeDecodeError:
        pass
    if _is_damaged_utf8(raw):
        return _decode_leniently(raw, encoding="utf-8")
    return _decode_leniently(raw, encoding=_guess_encoding(raw))


def _encoding_by_mark(raw: bytes) -> str | None:
    if raw.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return None


def _decode_leniently(raw: bytes, *, encoding: str) -> tuple[str, tuple[str, ...]]:
    text = raw.decode(encoding, "replace")
    damaged = text.count("\ufffd")
    if damaged > max(8, 0.05 * len(text)):
        raise ExtractionError(
            code="corrupt",
            message="The file's characters cannot be read: its encoding is damaged or unknown. "
            "Open it in an editor, save it as UTF-8 and upload it again.",
        )
    if damaged:
        what = (
            "character could not be read and shows"
            if damaged == 1
            else "characters could not be read and show"
        )
        return text, (f"{damaged} {what} as \ufffd.",)
    return text, ()


def _is_damaged_utf8(raw: bytes) -> bool:
    """True when nearly all of the bytes beyond ASCII form valid UTF-8, so that only a few are damaged."""
    sample = raw[: 16 * _SAMPLE_BYTES]
    text = sample.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore")) - damaged
    return beyond_ascii > 4 * damaged


def _guess_encoding(raw: bytes) -> str:
    """Guess a legacy encoding from the part of the file that has bytes beyond ASCII."""
    from charset_normalizer import from_bytes

    first = re.search(rb"[\x80-\xff]", raw)
    start = max(0, (first.start() if first else 0) - _SAMPLE_BYTES // 4)
    sample = raw[start : start + _SAMPLE_BYTES]
    best = from_bytes(sample).best()
    return best.encoding if best is not None else "cp1252"


def read_plain_text(data: bytes | mmap.mmap, limits: ExtractionLimits) -> ExtractedDocument:
    """Read a text file as one page; it has no title of its own."""
    text, warnings = decode_text(data)
    return one_page_document(kind="txt", title="", text=text, warnings=warnings)


def read_markdown(data: bytes | mmap.mmap, limits: ExtractionLimits) -> ExtractedDocument:
    """Read a Markdown file as one page, as it is written; its title is its first heading."""
    text, warnings = decode_text(data)
    heading = _MARKDOWN_HEADING.search(_MARKDOWN_FENCE.sub("", clean_text(text)))
    return one_page_document(kind="md", title=heading[1] if heading else "", text=text, warnings=warnings)


def one_page_document(*, kind: str, title: str, text: str, warnings: tuple[str, ...]) -> ExtractedDocument:
    """Make the document of a kind that has no pages. Raises ExtractionError(no_text)."""
    text = clean_text(text)
    if not text.strip():
        raise ExtractionError(
            code="no_text",
            message="The file holds no text. Check that it is the right file and that it was saved "
            "completely.",
        )
    pages = (ExtractedPage(number=1, text=text),)
    return ExtractedDocument(kind=kind, title=clean_title(title), pages=pages, warnings=warnings)
