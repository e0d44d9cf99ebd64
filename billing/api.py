"""`/api/billing/`: costs for everybody in their own scope, performance for reviewers."""

import re
from datetime import date, timedelta
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from ninja.errors import HttpError
from pydantic import BeforeValidator, Field

from billing.models import utc_today
from billing.percentiles import Percentiles
from billing.performance import PerformanceReport, performance_report
from billing.reports import CostRow, GroupBy, cost_report
from cloneai.accounts.models import User

router = Router()
DEFAULT_DAYS = 30
ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class CostOut(Schema):
    """Cost in US dollars, as text so that no digit is lost."""

    key: str
    label: str
    calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost: str


class CostsOut(Schema):
    group_by: GroupBy
    first_day: date
    last_day: date
    items: list[CostOut]
    count: int
    total: CostOut


def _refuse_numbers(text: str) -> str:
    """Left to itself a date may be given as seconds since 1970, and `?to=0` would be a day."""
    if not ISO_DAY.fullmatch(text):
        raise ValueError("give a day such as 2026-03-01")
    return text


Day = Annotated[date, BeforeValidator(_refuse_numbers)]


class CostsQuery(Schema):
    first_day: Day | None = Field(None, alias="from")
    last_day: Day | None = Field(None, alias="to")
    group_by: GroupBy = GroupBy.DAY
    limit: int = Field(1000, ge=1, le=10_000)
    offset: int = Field(0, ge=0)


@router.get("/costs", response=CostsOut)
def get_costs(request: HttpRequest, query: Query[CostsQuery]) -> dict[str, Any]:
    """Costs between two UTC days, both included; the last 30 days if none is given."""
    last_day = query.last_day or utc_today()
    first_day = query.first_day or last_day - min(timedelta(days=DEFAULT_DAYS - 1), last_day - date.min)
    if first_day > last_day:
        raise HttpError(422, "“from” must not be later than “to”.")
    report = cost_report(
        viewer=_person(request), group_by=query.group_by, first_day=first_day, last_day=last_day
    )
    shown = report.rows[query.offset : query.offset + query.limit]
    return {
        "group_by": report.group_by,
        "first_day": first_day,
        "last_day": last_day,
        "items": [_cost(row) for row in shown],
        "count": len(report.rows),
        "total": _cost(report.total),
    }


class PercentilesOut(Schema):
    p50: float | None
    p95: float | None
    p99: float | None


class ModelOut(Schema):
    requests: int
    successful: int
    failed: int
    tokens: int
    cost: str
    response_time_ms: PercentilesOut


class MetricsOut(Schema):
    """The guide's performance report under the guide's names and in its notation, and more below it."""

    message: str | None
    total_requests: int
    success_rate: str
    total_tokens_used: int
    total_cost: str
    average_response_time_ms: str
    requests_by_model: dict[str, ModelOut]
    error_breakdown: dict[str, int]
    cost_per_token: str
    successful_requests: int
    failed_requests: int
    response_time_ms: PercentilesOut
    time_to_first_token_ms: PercentilesOut
    retries: int
    hours: int


class MetricsQuery(Schema):
    hours: int = Field(24, ge=1, le=24 * 366)


@router.get("/metrics", response=MetricsOut)
def get_metrics(request: HttpRequest, query: Query[MetricsQuery]) -> dict[str, Any]:
    """How the calls of the last hours went. Reviewers only."""
    viewer = _person(request)
    if not viewer.is_reviewer:
        raise Http404
    now = timezone.now()
    since = now - timedelta(hours=query.hours)
    return _metrics(performance_report(viewer=viewer, since=since, until=now), hours=query.hours)


def _metrics(report: PerformanceReport, *, hours: int) -> dict[str, Any]:
    return {
        "message": None if report.total_requests else "No requests recorded",
        "total_requests": report.total_requests,
        "success_rate": f"{report.success_rate}%",
        "total_tokens_used": report.total_tokens,
        "total_cost": f"${report.total_cost_usd:.4f}",
        "average_response_time_ms": f"{report.average_response_time_ms or 0:.2f}",
        "requests_by_model": {
            row.model: {
                "requests": row.requests,
                "successful": row.successful,
                "failed": row.failed,
                "tokens": row.tokens,
                "cost": f"{row.cost_usd:f}",
                "response_time_ms": _percentiles(row.latency),
            }
            for row in report.by_model
        },
        "error_breakdown": dict(report.errors_by_type),
        "cost_per_token": f"{report.cost_per_token_usd:f}",
        "successful_requests": report.successful_requests,
        "failed_requests": report.failed_requests,
        "response_time_ms": _percentiles(report.latency),
        "time_to_first_token_ms": _percentiles(report.time_to_first_token),
        "retries": report.retries,
        "hours": hours,
    }


def _percentiles(figures: Percentiles) -> dict[str, float | None]:
    return {"p50": figures.p50_ms, "p95": figures.p95_ms, "p99": figures.p99_ms}


def _cost(row: CostRow) -> dict[str, Any]:
    return {
        "key": row.key,
        "label": row.label,
        "calls": row.calls,
        "input_tokens": row.input_tokens,
        "cached_input_tokens": row.cached_input_tokens,
        "output_tokens": row.output_tokens,
        "cost": f"{row.cost_usd:.10f}",
    }


def _person(request: HttpRequest) -> User:
    """Whoever the API let in; anonymous requests do not get this far."""
    assert isinstance(request.user, User)
    return request.user
