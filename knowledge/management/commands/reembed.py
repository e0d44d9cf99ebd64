"""`manage.py reembed CLONE_SLUG|--all [--model M]`: see `knowledge.reembedding`."""

import asyncio
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing.metering import MeteredCallError
from clones.models import Clone
from knowledge.embedding import EmbeddingModel
from knowledge.errors import IngestionError
from knowledge.reembedding import reembed_clone


class Command(BaseCommand):
    help = "Computes vectors by another model beside the live ones, then switches; answers keep coming."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("clone_slug", nargs="?")
        parser.add_argument("--all", action="store_true", help="every clone")
        parser.add_argument("--model", default=settings.EMBEDDING_MODEL, help="default: EMBEDDING_MODEL")

    def handle(self, *args: Any, **options: Any) -> None:
        slug, model_name = options["clone_slug"], options["model"]
        if bool(slug) == options["all"]:
            raise CommandError("Name one clone, or give --all.")
        clones = list(Clone.objects.all() if options["all"] else Clone.objects.filter(slug=slug))
        if slug and not clones:
            raise CommandError(f"There is no clone “{slug}”.")
        refuse_unreachable(model_name=model_name)
        if model_name != settings.EMBEDDING_MODEL:
            self.stdout.write(
                f"Note: new documents are embedded by {settings.EMBEDDING_MODEL}. "
                f"Set EMBEDDING_MODEL={model_name} too, or their passages will be found by words only."
            )
        model = EmbeddingModel(name=model_name, dimensions=settings.EMBEDDING_DIMENSIONS)
        failures = sum(not self._reembed(clone=clone, model=model) for clone in clones)
        if failures:
            raise CommandError(
                f"{failures} of {len(clones)} clones keep their old vectors; the reasons are above."
            )

    def _reembed(self, *, clone: Clone, model: EmbeddingModel) -> bool:
        is_live = clone.embedding_model == model.name
        try:
            made = asyncio.run(reembed_clone(clone=clone, model=model))
        except (MeteredCallError, IngestionError, RuntimeError) as error:
            return self._report(clone=clone, problem=getattr(error, "user_message", str(error)))
        if is_live and not made:
            self.stdout.write(f"{clone.slug}: nothing to do, every passage has its vector by {model.name}")
            return True
        vectors = "vector" if made == 1 else "vectors"
        self.stdout.write(f"{clone.slug}: {made} {vectors} by {model.name}, live now")
        return True

    def _report(self, *, clone: Clone, problem: str) -> bool:
        self.stderr.write(self.style.ERROR(f"{clone.slug}: {problem}"))
        return False


def refuse_unreachable(*, model_name: str) -> None:
    """Raises CommandError for a model that the provider cannot have."""
    local = settings.LOCAL_EMBEDDING_MODEL
    if settings.AI_OFFLINE and model_name != local:
        raise CommandError(
            f"The model “{model_name}” is not available in offline mode; {local} is. "
            "Set OPENAI_API_KEY or OPENAI_BASE_URL to use another one."
        )
    if not settings.AI_OFFLINE and model_name == local:
        raise CommandError(
            f"The model “{local}” is only available in offline mode; the provider that is set up has others, "
            f"such as {settings.EMBEDDING_MODEL}."
        )
