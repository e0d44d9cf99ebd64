"""The platform app: commands, checks and pages that need every other app."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class PlatformConfig(AppConfig):
    name = "cloneai"
    label = "platform"
    verbose_name = "Platform"

    def ready(self) -> None:
        from cloneai import checks  # noqa: F401  (registers them)
        from cloneai.job_queue import prepare_workers
        from cloneai.reference_data import ensure_reference_data

        prepare_workers()
        # Sent once for each app with models, after all tables are there; one of them is enough.
        post_migrate.connect(ensure_reference_data, sender=apps.get_app_config("chat"))
