"""What can go wrong with documents. Every message is a sentence for the expert: what happened and what to do."""

from knowledge.models import Document


class KnowledgeError(Exception):
    """Base of this app's errors. `code` is stable and machine-readable."""

    def __init__(self, *, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class UploadRefused(KnowledgeError):  # noqa: N818 - the name says what happened
    """Nothing was stored or changed.

    Codes: duplicate (with `existing`), too_large, empty_file, unreadable, busy, nothing_earlier, storage_full.
    """

    def __init__(self, *, code: str, message: str, existing: Document | None = None) -> None:
        super().__init__(code=code, message=message)
        self.existing = existing


class IngestionError(KnowledgeError):
    """The document cannot become ready. Codes: no_text, bad_vectors."""


class LeaseLost(Exception):  # noqa: N818 - an outcome, not a fault
    """The document was deleted, replaced, or taken over by another worker: stop without a trace."""
