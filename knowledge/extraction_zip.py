"""Opens a DOCX's zip only when its directory shows that it is harmless, and parses XML without entities."""

import io
import mmap
import re
import struct
import zipfile
import zlib

from lxml import etree

from knowledge.extraction_types import MEBIBYTE, ExtractionError, ExtractionLimits

_END_RECORD = b"PK\x05\x06"
_END_RECORD_64 = b"PK\x06\x06"
_END_RECORD_REACH_BYTES = 66 * 1024
_DIRECTORY_BYTES_PER_ENTRY = 512
_ENCRYPTED_FLAG = 1
_ARCHIVE_NAME = re.compile(r"\.(?:zip|jar|7z|rar|gz|bz2|xz|tar)$", re.IGNORECASE)
_DECLARATIONS = ("<!DOCTYPE", "<!ENTITY")
_FORBIDDEN_XML = tuple(
    mark.encode(encoding) for mark in _DECLARATIONS for encoding in ("ascii", "utf-16-le", "utf-16-be")
)


class Package:
    """The parts of one opened DOCX. Every method raises ExtractionError for what it cannot read."""

    def __init__(self, *, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.names = tuple(info.filename for info in archive.infolist())

    def read_xml(self, name: str) -> etree._Element | None:
        """The root element of a part; None when the package has no such part."""
        try:
            content = self._archive.read(name)
        except KeyError:
            return None
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            ValueError,
        ) as problem:
            raise corrupt_error() from problem
        return parse_xml(content)


def open_package(data: bytes | mmap.mmap, *, limits: ExtractionLimits) -> Package:
    """Check a zip's directory against the limits and open it. Raises ExtractionError."""
    _check_directory_size(data, limits=limits)
    try:
        archive = zipfile.ZipFile(io.BytesIO(bytes(data)))
    except (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError) as problem:
        raise corrupt_error() from problem
    _check_entries(archive.infolist(), packed_bytes=len(data), limits=limits)
    return Package(archive=archive)


def _check_directory_size(data: bytes | mmap.mmap, *, limits: ExtractionLimits) -> None:
    """Refuse a directory that would itself fill the memory when it is read."""
    tail = data[max(0, len(data) - _END_RECORD_REACH_BYTES) :]
    position = tail.rfind(_END_RECORD)
    if position < 0 or len(tail) < position + 22:
        raise corrupt_error()
    directory_bytes = struct.unpack_from("<L", tail, position + 12)[0]
    position_64 = tail.rfind(_END_RECORD_64, 0, position)
    if position_64 >= 0 and len(tail) >= position_64 + 48:
        directory_bytes = max(
            directory_bytes % 0xFFFFFFFF, struct.unpack_from("<Q", tail, position_64 + 40)[0]
        )
    if directory_bytes > limits.zip_entries * _DIRECTORY_BYTES_PER_ENTRY:
        raise _bomb_error("it has far more parts inside than a document needs")


def _check_entries(entries: list[zipfile.ZipInfo], *, packed_bytes: int, limits: ExtractionLimits) -> None:
    if any(entry.flag_bits & _ENCRYPTED_FLAG for entry in entries):
        raise ExtractionError(
            code="encrypted",
            message="The document is protected by a password. Open it, remove the password, save it and "
            "upload it again.",
        )
    if len(entries) > limits.zip_entries:
        raise _bomb_error(f"it has {len(entries):,} parts inside, more than a document needs")
    unpacked_bytes = sum(entry.file_size for entry in entries)
    if unpacked_bytes > limits.zip_unpacked_bytes:
        raise _bomb_error(f"it would unpack to {unpacked_bytes / MEBIBYTE:,.0f} MB")
    if sum(entry.compress_size for entry in entries) > packed_bytes:
        raise corrupt_error()  # parts overlap, or some of the file is missing
    for entry in entries:
        if entry.file_size > MEBIBYTE and entry.file_size > limits.zip_ratio * max(1, entry.compress_size):
            raise _bomb_error("a part of it unpacks to many times its size")
        if _ARCHIVE_NAME.search(entry.filename):
            raise _bomb_error("it has another archive inside")


def parse_xml(content: bytes) -> etree._Element:
    """Parse one part. Entities and document types have no place in a DOCX and are refused (`unsafe_xml`)."""
    if any(mark in content for mark in _FORBIDDEN_XML):
        raise unsafe_xml_error()
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as problem:
        reason = str(problem).lower()
        if "memory" in reason:
            raise MemoryError from problem
        if "depth" in reason:
            raise RecursionError from problem
        raise corrupt_error() from problem
    except (ValueError, LookupError) as problem:
        raise corrupt_error() from problem
    if root.getroottree().docinfo.internalDTD is not None:
        raise unsafe_xml_error()
    return root


def corrupt_error() -> ExtractionError:
    return ExtractionError(
        code="corrupt",
        message="The Word document is damaged or cut short and cannot be opened. Open it in a word "
        "processor, which may repair it, save it as a new .docx and upload that; or "
        "fetch it again from where it came.",
    )


def unsafe_xml_error() -> ExtractionError:
    return ExtractionError(
        code="unsafe_xml",
        message="The Word document declares XML entities, which no word processor does and which can do "
        "harm. Open it in a word processor, save it as a new .docx and upload that.",
    )


def _bomb_error(what: str) -> ExtractionError:
    return ExtractionError(
        code="zip_bomb",
        message=f"The Word document was not opened: {what}. If it is a real document, remove its embedded "
        "files and pictures, save it as a new .docx and upload that.",
    )
