"""Pages of a member's own account."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from cloneai.accounts.admin_access import record_action
from cloneai.accounts.forms import ApiKeyForm
from cloneai.accounts.models import ApiKey
from cloneai.accounts.requests import MemberRequest

MAX_KEYS = 20


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def api_keys(request: MemberRequest) -> HttpResponse:
    """The member's usable keys; POST makes one and answers with its token, which is nowhere kept."""
    form = ApiKeyForm(request.POST or None)
    token = ""
    if request.method == "POST" and form.is_valid():
        if request.user.api_keys.usable().count() >= MAX_KEYS:
            form.add_error(None, f"You have {MAX_KEYS} keys. Revoke one first.")
        else:
            key, token = ApiKey.issue(user=request.user, **form.cleaned_data)
            record_action(actor=request.user, action="api_key.create", target=key, scopes=key.scopes)
            form = ApiKeyForm()
    keys = list(request.user.api_keys.usable())
    context = {"form": form, "keys": keys, "token": token, "new_key": key if token else None}
    return render(request, "accounts/api_keys.html", context)


@login_required
@require_POST
def revoke_api_key(request: MemberRequest, key_id: int) -> HttpResponse:
    key = get_object_or_404(request.user.api_keys.usable(), pk=key_id)
    key.revoked_at = timezone.now()
    key.save(update_fields=["revoked_at"])
    record_action(actor=request.user, action="api_key.revoke", target=key, owner=key.user_id)
    messages.success(request, f"The key “{key.name}” is revoked. Nothing can use it any more.")
    return redirect("accounts:api-keys")
