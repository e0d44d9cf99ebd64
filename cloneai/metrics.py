"""`/metrics` for Prometheus, in its text format.

Figures of the product come from PostgreSQL, so that every process answers the same; those of "today" begin at 0 with
each UTC day, which Prometheus takes for a restart. Only answers and open sockets are this process's own. The database
is asked at most every `CACHE_SECONDS`.
"""

import hmac
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from datetime import time as time_of_day
from decimal import Decimal
from ipaddress import ip_address

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing.models import PLATFORM_OWNER_ID, CostRecord, Outcome, Purpose, Scope, SpendAccount, utc_today
from chat.models import Message, MessageStatus, Role
from chat.socket_guard import count_sockets
from cloneai.accounts.models import User
from cloneai.edge import answers_counted
from cloneai.health import describe_queue
from clones.models import Clone
from knowledge.models import Document, Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CACHE_SECONDS = 10.0
FIRST_TOKEN_BOUNDS_MS = (100, 250, 500, 1000, 2000, 3000, 5000, 10_000, 20_000)
ANSWER_CLASSES = ("2xx", "3xx", "4xx", "5xx")
# With one of these the request came through a proxy, whose address says nothing of who asks.
PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via")

SHARE_USED_UP = Decimal("0.95")

Samples = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Metric:
    """`samples` maps what follows the name, such as `{state="open"}`, to a value."""

    name: str
    kind: str
    help: str
    samples: Samples


_cached: tuple[float, list[Metric]] = (0.0, [])


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """To holders of METRICS_TOKEN; without one, to this machine itself. To others there is nothing here."""
    if not is_allowed(request):
        raise Http404
    found = [*measure_process(), *measure_product_at_times()]
    return HttpResponse(write_text(found), content_type=CONTENT_TYPE)


def is_allowed(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        is_equal = hmac.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())
        return scheme.lower() == "bearer" and is_equal
    if any(name in request.headers for name in PROXY_HEADERS):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def write_text(metrics: Iterable[Metric]) -> str:
    lines = []
    for metric in metrics:
        lines += [
            f"# HELP cloneai_{metric.name} {metric.help}",
            f"# TYPE cloneai_{metric.name} {metric.kind}",
        ]
        lines += [f"cloneai_{metric.name}{suffix} {value:g}" for suffix, value in metric.samples.items()]
    return "\n".join(lines) + "\n"


def measure_process() -> list[Metric]:
    answers = {label("status", name): answers_counted[name] for name in ANSWER_CLASSES}
    return [
        Metric(
            "http_requests_total",
            "counter",
            "Answered requests of this process, by class of status.",
            answers,
        ),
        Metric("sockets", "gauge", "Open chat sockets of this process.", {"": count_sockets()}),
    ]


def measure_product_at_times() -> list[Metric]:
    """`measure_product`, or what it said a moment ago. Without the database only that it is down."""
    global _cached
    measured_at, found = _cached
    if not found or time.monotonic() - measured_at > CACHE_SECONDS:
        try:
            found = measure_product()
        except DatabaseError:
            return [Metric("database_up", "gauge", "1 when PostgreSQL answers.", {"": 0})]
        _cached = (time.monotonic(), found)
    return found


def measure_product() -> list[Metric]:
    """Ten queries, each over an index or a short table; of what grows for ever today is counted."""
    return [
        Metric("database_up", "gauge", "1 when PostgreSQL answers.", {"": 1}),
        *_measure_work(),
        *_measure_calls(),
        *_measure_spend(),
    ]


def _measure_work() -> list[Metric]:
    begin = datetime.combine(utc_today(), time_of_day.min, tzinfo=UTC)
    today = Message.objects.filter(role=Role.ASSISTANT, created_at__gte=begin).order_by()
    answers = today.values_list("status").annotate(Count("pk"))
    documents = Document.objects.order_by().values_list("status").annotate(Count("pk"))
    queue = describe_queue()
    return [
        Metric(
            "turns", "gauge", "Answers of today, by state.", _by("state", dict(answers), MessageStatus.values)
        ),
        Metric("documents", "gauge", "Documents, by status.", _by("status", dict(documents), Status.values)),
        Metric("jobs_waiting", "gauge", "Jobs that wait for a worker.", {"": queue["waiting"]}),
        Metric(
            "jobs_oldest_seconds",
            "gauge",
            "How long the oldest of them has waited.",
            {"": queue["oldest_seconds"]},
        ),
    ]


def _measure_calls() -> list[Metric]:
    today = CostRecord.objects.filter(day=utc_today()).order_by()
    outcomes = dict(today.values_list("outcome").annotate(Count("pk")))
    errors = dict(today.exclude(error_type="").values_list("error_type").annotate(Count("pk")))
    first = today.filter(purpose=Purpose.CHAT, time_to_first_token_ms__isnull=False)
    bounds = {
        f"le_{bound}": Count("pk", filter=Q(time_to_first_token_ms__lte=bound))
        for bound in FIRST_TOKEN_BOUNDS_MS
    }
    found = first.aggregate(count=Count("pk"), total_ms=Coalesce(Sum("time_to_first_token_ms"), 0), **bounds)
    histogram = {f'_bucket{{le="{bound / 1000:g}"}}': found[f"le_{bound}"] for bound in FIRST_TOKEN_BOUNDS_MS}
    histogram |= {
        '_bucket{le="+Inf"}': found["count"],
        "_sum": found["total_ms"] / 1000,
        "_count": found["count"],
    }
    return [
        Metric(
            "provider_calls", "counter", "Provider calls of today.", _by("outcome", outcomes, Outcome.values)
        ),
        Metric("provider_errors", "counter", "Failed provider calls of today, by type.", _by("type", errors)),
        Metric(
            "time_to_first_token_seconds",
            "histogram",
            "Of the answers of today, from the provider.",
            histogram,
        ),
    ]


def _measure_spend() -> list[Metric]:
    accounts = SpendAccount.objects.filter(day=utc_today())
    platform = accounts.filter(scope=Scope.PLATFORM, owner_id=PLATFORM_OWNER_ID).first()
    spent = {
        label("state", "settled"): float(platform.settled_usd) if platform else 0.0,
        label("state", "reserved"): float(platform.reserved_usd) if platform else 0.0,
    }
    return [
        Metric("spend_usd", "gauge", "US dollars spent and reserved today, of the platform.", spent),
        Metric(
            "spend_limit_usd",
            "gauge",
            "The platform's limit per UTC day.",
            {"": float(settings.DAILY_COST_LIMIT)},
        ),
        Metric("owners_at_limit", "gauge", "Whose limit of today is 95 % used.", _count_exhausted(accounts)),
    ]


def _count_exhausted(accounts: QuerySet[SpendAccount]) -> Samples:
    """People and clones that have a limit, and have used it up."""
    default = settings.USER_DAILY_COST_LIMIT
    counted = {}
    for scope, model, fallback in ((Scope.USER, User, default), (Scope.CLONE, Clone, None)):
        held = {
            account.owner_id: account.settled_usd + account.reserved_usd
            for account in accounts.filter(scope=scope)
        }
        limits = dict(model._default_manager.filter(pk__in=held).values_list("pk", "daily_cost_limit_usd"))
        counted[label("scope", scope.value)] = sum(
            1
            for key, amount in held.items()
            if (limit := limits.get(key) if limits.get(key) is not None else fallback) is not None
            and amount >= limit * SHARE_USED_UP
        )
    return counted


def label(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{{{name}="{escaped}"}}'


def _by(name: str, counted: Mapping[str, int], expected: Iterable[str] = ()) -> Samples:
    """Counts as samples; `expected` values are there also when nothing was counted."""
    return {
        label(name, value): counted.get(value, 0) for value in (*expected, *(set(counted) - set(expected)))
    }
