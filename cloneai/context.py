"""What every template may show of the platform."""

from django.conf import settings
from django.http import HttpRequest


def platform(request: HttpRequest) -> dict[str, object]:
    return {"ai_offline": settings.AI_OFFLINE}
