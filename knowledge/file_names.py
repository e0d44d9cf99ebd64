"""Names of uploaded files: made safe to show, read for their type, turned into titles."""

import re
import unicodedata


def make_safe_name(*, name: str) -> str:
    """A file name for display: no folders, control, direction or other invisible characters, at most 255 long."""
    base = clean_line(text=re.split(r"[/\\]", name)[-1]).strip(". ")
    if len(base) > 255:
        stem, dot, suffix = base.rpartition(".")
        base = f"{stem[: 254 - len(suffix)]}.{suffix}" if dot and len(suffix) <= 10 else base[:255]
    return base or "document"


def title_from(*, file_name: str) -> str:
    """A readable title from a file name: `my-first_guide.pdf` -> `My first guide`."""
    stem = file_name.rpartition(".")[0] or file_name
    words = re.sub(r"[\s_-]+", " ", stem).strip() or file_name
    return (words[:1].upper() + words[1:])[:200]


def clean_line(*, text: str) -> str:
    """One line of visible characters."""
    visible = (" " if character.isspace() else character for character in text)
    return " ".join("".join(c for c in visible if unicodedata.category(c)[0] != "C").split())


def suffix_of(*, file_name: str) -> str:
    """What stands behind the last dot, in small letters."""
    return file_name.rpartition(".")[2].lower()
