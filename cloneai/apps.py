"""The platform app: commands, checks and pages that need every other app."""

from django.apps import AppConfig


class PlatformConfig(AppConfig):
    name = "cloneai"
    label = "platform"
    verbose_name = "Platform"
