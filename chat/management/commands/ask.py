"""`manage.py ask`: one answer, streamed to the terminal, through the same turn as the pages."""

import argparse
import asyncio
from typing import Any

from channels.layers import get_channel_layer
from django.core.management.base import BaseCommand, CommandError

from chat.frames import final_frame, session_group
from chat.models import ChatSession, MessageStatus
from chat.sessions import create_session
from chat.turns import TurnRefused, start_turn, wait_for_answer
from cloneai.accounts.models import User
from cloneai.redis_layer import LAYER_ERRORS
from cloneai.threads import run_in_thread
from clones.models import Clone

TIMEOUT_SECONDS = 300.0


class Command(BaseCommand):
    help = "Asks a clone one question and streams the answer with its sources."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("clone", help="the clone's slug")
        parser.add_argument("question")
        parser.add_argument("--user", metavar="EMAIL", help="who asks; the clone's owner when left out")

    def handle(self, *args: Any, **options: Any) -> None:
        clone = Clone.objects.select_related("owner").filter(slug=options["clone"]).first()
        if clone is None:
            raise CommandError(
                f"There is no clone “{options['clone']}”. See the gallery for their addresses."
            )
        user = clone.owner
        if email := options["user"]:
            found = User.objects.filter(email=email.lower(), is_active=True).first()
            if found is None:
                raise CommandError(f"There is no active account {email}.")
            user = found
        if not Clone.objects.visible_to(user).filter(pk=clone.pk).exists():
            raise CommandError(f"{user.email} may not chat with “{clone.slug}”.")
        session = create_session(user=user, clone=clone)
        try:
            asyncio.run(self._ask(session=session, question=options["question"]))
        except TurnRefused as error:
            session.delete()
            raise CommandError(error.message) from error
        except TimeoutError as error:
            raise CommandError(f"Nothing came for {TIMEOUT_SECONDS:.0f} seconds.") from error
        except LAYER_ERRORS as error:
            raise CommandError(f"The answer cannot be shown, Redis is away: {error}") from error

    async def _ask(self, *, session: ChatSession, question: str) -> None:
        layer = get_channel_layer()
        channel = await layer.new_channel("terminal")
        await layer.group_add(session_group(session.pk), channel)
        started = await start_turn(session=session, content=question)
        while True:
            event = await asyncio.wait_for(layer.receive(channel), TIMEOUT_SECONDS)
            frame = event["frame"]
            if frame["type"] == "ai_response_chunk":
                if frame["is_complete"]:
                    break
                self.stdout.write(frame["content"], ending="")
                self.stdout.flush()
        answer = await wait_for_answer(answer_id=started.answer_id, timeout_seconds=TIMEOUT_SECONDS)
        frame = await run_in_thread(final_frame, answer)
        self.stdout.write("")
        for source in frame["sources"]:
            score = f"{source['similarity_score']:.2f}"
            self.stdout.write(
                f"  [{source['number']}] {source['title']}, page {source['page']} (similarity {score})"
            )
        if answer.status != MessageStatus.COMPLETE:
            raise CommandError(answer.error_message or f"The answer was {answer.status}.")
