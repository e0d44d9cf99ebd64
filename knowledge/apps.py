from django.apps import AppConfig


class KnowledgeConfig(AppConfig):
    name = "knowledge"
    verbose_name = "Knowledge"

    def ready(self) -> None:
        from clones.deletion import register_clean_up
        from knowledge.uploads import prepare_file_removal

        register_clean_up(prepare_file_removal)
