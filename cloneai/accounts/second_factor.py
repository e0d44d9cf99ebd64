"""Staff enter the admin with a second factor, where the settings demand one."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.utils import is_mfa_enabled
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.decorators import sync_and_async_middleware

NEEDED = "People with access to the admin need an authenticator app. Set yours up, then go on."


@sync_and_async_middleware
def staff_second_factor_middleware(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], Any]:
    """Sends staff without a second factor from the admin to the page where they set it up."""
    if iscoroutinefunction(get_response):

        async def respond(request: HttpRequest) -> HttpResponseBase:
            redirect = await sync_to_async(_redirect_to_setup)(request) if _concerns(request) else None
            return redirect or await get_response(request)

        return respond

    def respond_sync(request: HttpRequest) -> HttpResponseBase:
        redirect = _redirect_to_setup(request) if _concerns(request) else None
        return redirect or get_response(request)

    return respond_sync


def _concerns(request: HttpRequest) -> bool:
    return settings.STAFF_TOTP_REQUIRED and request.path.startswith(reverse("admin:index"))


def _redirect_to_setup(request: HttpRequest) -> HttpResponseRedirect | None:
    """One or two queries, only for pages of the admin. Who is not staff is refused there."""
    if not request.user.is_authenticated or not request.user.is_staff or is_mfa_enabled(request.user):
        return None
    messages.warning(request, NEEDED)
    query = urlencode({"next": request.get_full_path()})
    return HttpResponseRedirect(f"{reverse('mfa_activate_totp')}?{query}")
