from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = "Conversations"

    def ready(self) -> None:
        from chat.grounding import preview_prompt
        from knowledge.prompt_preview import register_prompt_preview

        register_prompt_preview(preview_prompt)
