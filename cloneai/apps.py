"""The platform app: commands, checks and pages that need every other app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PlatformConfig(AppConfig):
    name = "cloneai"
    label = "platform"
    verbose_name = "Platform"

    def ready(self) -> None:
        from cloneai import checks  # noqa: F401  (registers them)
        from cloneai.reference_data import ensure_reference_data

        post_migrate.connect(ensure_reference_data, sender=self)
