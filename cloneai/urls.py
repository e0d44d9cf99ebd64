"""All addresses; README.md lists the pages, docs/contracts.md what programs use."""

from django.contrib import admin
from django.urls import include, path

from cloneai.api import api
from cloneai.health import healthz, readyz
from cloneai.metrics import metrics

handler404 = "cloneai.error_pages.page_not_found"
handler500 = "cloneai.error_pages.server_error"

urlpatterns = [
    path("", include("clones.urls")),
    path("", include("chat.urls")),
    path("accounts/", include("allauth.urls")),
    path("account/", include("cloneai.accounts.urls")),
    path("account/data/", include("cloneai.privacy.urls")),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("v1/", include("chat.openai_api")),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
]
