"""What every template may show of the platform."""

from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest


def platform(request: HttpRequest) -> dict[str, object]:
    """`can_mail`: mail is sent, or printed to the log while developing.

    `entrance_query` leads from the pages to sign in and up back to where the person was going.
    """
    return {
        "ai_offline": settings.AI_OFFLINE,
        "sends_mail": bool(settings.EMAIL_URL),
        "can_mail": bool(settings.EMAIL_URL) or settings.DEBUG,
        "entrance_query": build_entrance_query(request),
    }


def build_entrance_query(request: HttpRequest) -> str:
    """`?next=…`, or nothing when there is no place to go back to. allauth refuses places elsewhere."""
    going_to = request.GET.get("next") or request.POST.get("next")
    if not going_to and request.path != "/" and not request.path.startswith("/accounts/"):
        going_to = request.get_full_path()
    return f"?{urlencode({'next': going_to}, safe='/')}" if going_to else ""
