"""/account/data/: what is kept of a person, who reads it, their archive, and the way out."""

import json
from typing import Any
from uuid import UUID

from allauth.core import ratelimit
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from cloneai.accounts.models import DataExport, User
from cloneai.privacy.downloads import send_archive
from cloneai.privacy.erasure import ErasureRefused, erase_person
from cloneai.privacy.exports import archive_path, latest_export, request_export
from cloneai.privacy.forms import EraseForm
from cloneai.privacy.tables import TABLES, name_counts

SCRIPT_HEADER = (
    "X-Requested-With"  # sent by our script: it wants the state of the archive instead of the page
)
RECEIPT = "erasure_receipt"
RECEIPT_SECONDS = 3600


class PersonRequest(HttpRequest):
    """A request behind `login_required`. For annotations only."""

    user: User


@login_required
@never_cache
@require_safe
@vary_on_headers(SCRIPT_HEADER)
def data(request: PersonRequest) -> HttpResponse:
    if request.headers.get(SCRIPT_HEADER) == "fetch":
        return render(request, "privacy/_archive.html", {"export": latest_export(person=request.user)})
    return _show(request, form=EraseForm(person=request.user))


@login_required
@require_POST
def prepare(request: PersonRequest) -> HttpResponse:
    request_export(person=request.user)
    return redirect("privacy:data")


@login_required
@require_safe
def download(request: PersonRequest, export_id: UUID) -> StreamingHttpResponse:
    """The person's own archive while it is ready and not expired; anything else is not there."""
    export = get_object_or_404(DataExport, pk=export_id, user=request.user)
    try:
        file = archive_path(export).open("rb") if export.is_downloadable else None
    except FileNotFoundError:
        file = None
    if file is None:
        raise Http404
    return send_archive(file, size_bytes=export.size_bytes)


@sensitive_post_parameters("password")
@login_required
@never_cache
@require_POST
def erase(request: PersonRequest) -> HttpResponse:
    """Erases the account and ends this login; the receipt is kept for an hour in the anonymous session after it."""
    person = User.objects.get(pk=request.user.pk)
    form = EraseForm(request.POST, person=person)
    if not ratelimit.consume(request, action="reauthenticate", user=person):
        form = EraseForm(person=person)
        problem = "Too many attempts. Wait a minute, then try again."
        return _show(request, form=form, problem=problem, status=429)
    if not form.is_valid():
        return _show(request, form=form, status=422)
    try:
        receipt = erase_person(
            person=person,
            actor=person,
            way="page",
            with_clones=form.cleaned_data.get("with_clones", False),
        )
    except ErasureRefused as refusal:
        return _show(request, form=form, problem=refusal.message, status=422)
    request.session.flush()
    request.session[RECEIPT] = receipt.as_dict()
    request.session.set_expiry(RECEIPT_SECONDS)
    return redirect("privacy:erased")


@never_cache
@require_safe
def erased(request: HttpRequest) -> HttpResponse:
    """The receipt, to whoever was just erased in this browser."""
    receipt = request.session.get(RECEIPT)
    if receipt is None:
        raise Http404
    context = {
        "receipt": receipt,
        "rows": name_counts(receipt["rows"]),
        "as_json": json.dumps(receipt, indent=2, ensure_ascii=False),
    }
    return render(request, "privacy/erased.html", context)


def _show(request: PersonRequest, *, form: EraseForm, problem: str = "", status: int = 200) -> HttpResponse:
    person = request.user
    held = []
    kept = []
    for table in TABLES:
        if table.find is not None:  # counting logins reads all of them
            continue
        number = table.rows(person_id=person.pk).count()
        if number and not table.not_exported:
            held.append((table.title, number))
        if number and table.reason:
            kept.append(table)
    context: dict[str, Any] = {
        "export": latest_export(person=person),
        "export_days": settings.RETENTION_DAYS_EXPORTS,
        "session_days": settings.RETENTION_DAYS_SESSIONS,
        "held": held,
        "kept": kept,
        "clones": person.clones.all(),
        "form": form,
        "problem": problem,
        "is_erasing": form.is_bound or bool(problem),
    }
    return render(request, "privacy/data.html", context, status=status)
