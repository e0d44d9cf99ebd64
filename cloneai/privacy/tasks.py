"""What django-q2 calls, by dotted path and with ids only."""

import logging
from uuid import UUID

from chat.gaps import drop_empty_gaps
from cloneai.privacy import exports, mentions, retention

logger = logging.getLogger(__name__)


def prepare_export(export_id: str) -> None:
    exports.prepare_export(export_id=UUID(export_id))


def remove_expired_exports() -> None:
    """Every hour."""
    exports.remove_expired_exports()


def apply_retention() -> None:
    """Every night: what is older than the installation keeps."""
    conversations = retention.delete_old_conversations()
    files = exports.remove_expired_exports()
    retention.delete_expired_logins()
    mentions.forget_vanished_rows()
    drop_empty_gaps()
    logger.info("Retention: %d conversations and %d archives deleted", conversations, files)
