from django.apps import AppConfig


class LocalAiConfig(AppConfig):
    name = "cloneai.local_ai"
    label = "local_ai"
    verbose_name = "Local AI"
