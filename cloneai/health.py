"""Two addresses for whoever watches the service: `/healthz` (it answers) and `/readyz` (it can work)."""

import logging
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_q.models import OrmQ

from knowledge.models import OrphanAudit

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answers without the database."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database is there and migrated, else 503 with the reasons. Two to four queries."""
    report: dict[str, Any] = {"status": "ready", "provider": _name_provider(), "reasons": []}
    if not has_static_files():
        report["reasons"].append("The static files are not collected. Run `manage.py collectstatic`.")
    try:
        if not is_migrated():
            report["reasons"].append("Migrations are pending. Run `manage.py migrate`.")
        else:
            report["jobs"] = describe_queue()
            report["last_audit"] = describe_last_audit()
    except DatabaseError as error:
        logger.warning("Not ready: %s", error)
        # Outside DEBUG the sentence, which names host and user, is only for the log.
        report["reasons"].append(str(error) if settings.DEBUG else "The database is unavailable.")
    if report["reasons"]:
        report["status"] = "not ready"
    return JsonResponse(report, status=503 if report["reasons"] else 200)


def describe_last_audit() -> dict[str, object] | None:
    """What the last nightly audit of documents counted; None before the first."""
    last = OrphanAudit.objects.first()
    return {"at": last.created_at.isoformat(timespec="seconds"), "orphans": last.total} if last else None


def describe_queue() -> dict[str, int]:
    """How many jobs wait for a worker, and for how many seconds the oldest has. One query."""
    now = timezone.now()
    waiting = OrmQ.objects.filter(lock__lte=now).aggregate(count=Count("pk"), oldest=Min("lock"))
    oldest_seconds = int((now - waiting["oldest"]).total_seconds()) if waiting["oldest"] else 0
    return {"waiting": waiting["count"], "oldest_seconds": oldest_seconds}


def is_migrated() -> bool:
    """Whether every migration of this code is applied; remembered once it is true."""
    try:
        return _find_no_pending_migration()
    except LookupError:
        return False


def has_static_files() -> bool:
    """False outside DEBUG when no page could name its style sheet."""
    return not isinstance(staticfiles_storage, ManifestFilesMixin) or bool(staticfiles_storage.hashed_files)


@cache
def _find_no_pending_migration() -> bool:
    """True, or LookupError, which the cache does not keep."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise LookupError("migrations are pending")
    return True


def _name_provider() -> str:
    if settings.AI_OFFLINE:
        return "offline"
    return "openai-compatible" if settings.OPENAI_BASE_URL else "openai"
