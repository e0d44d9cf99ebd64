"""What extraction gives and raises; imported by both sides of the process boundary, so it stays light.

Sizes are bytes, times are seconds, pages are counted from 1.
"""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExtractedPage:
    """One page of the file; `text` is "" when the page holds none."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class ExtractedDocument:
    """A whole file as text. `kind` is "pdf", "docx", "txt", "md" or "html"; `title` is "" when unknown."""

    kind: str
    title: str
    pages: tuple[ExtractedPage, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExtractionLimits:
    """What one file may cost. A file beyond any of these is refused with a reason, never half read."""

    wall_seconds: float = 50.0
    cpu_seconds: int = 45
    memory_bytes: int = 512 * MEBIBYTE  # address space of the child process
    output_bytes: int = 64 * MEBIBYTE  # extracted text as it crosses the pipe
    file_bytes: int = 50 * MEBIBYTE
    pages: int = 10_000
    zip_entries: int = 2_000
    zip_unpacked_bytes: int = 200 * MEBIBYTE
    zip_ratio: int = 200  # unpacked to packed, of any part larger than one mebibyte


DEFAULT_LIMITS = ExtractionLimits()


class ExtractionError(Exception):
    """The file cannot become text. `message` tells an expert what is wrong and what to do about it.

    Codes: missing_file, empty_file, too_large, unsupported_type, type_mismatch, encrypted, corrupt, no_text,
    too_many_pages, zip_bomb, unsafe_xml, too_complex, parser_crashed, parser_timeout, parser_memory.
    """

    def __init__(self, *, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_error, (self.code, self.message)


def _rebuild_error(code: str, message: str) -> ExtractionError:
    return ExtractionError(code=code, message=message)


def too_much_text_error(*, limits: ExtractionLimits) -> ExtractionError:
    """Said by the child when it counts its output, and by the parent when the child does not."""
    return ExtractionError(
        code="too_large",
        message=f"The file holds more than {limits.output_bytes // MEBIBYTE} MB of text. "
        "Split it into several files and upload each.",
    )


def out_of_memory_error() -> ExtractionError:
    """Said by the child when an allocation fails, and by the parent when the child died of it."""
    return ExtractionError(
        code="parser_memory",
        message="Reading the file took more memory than one document may have. Split it into smaller files, "
        "or save it again without its embedded pictures and objects.",
    )
