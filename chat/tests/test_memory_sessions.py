"""A hundred scripted conversations: what was planted comes back later, contradictions replace, bait is never kept.

The provider plays a careless model: it proposes what the members said, and with it what the clone said, what a document
said, what is known already, and the same again in other words. The rules around it are what is tested.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.utils import timezone

from chat.memory_extraction import load_source, propose
from chat.memory_keeping import Source, keep
from chat.models import ChatSession, Memory, MemoryState, Message, Role
from chat.tests.conftest import asked_for_answers
from chat.turns import start_turn, wait_for_answer
from cloneai.accounts.models import User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from cloneai.threads import run_in_thread
from clones.models import Clone

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 10
HOMES = ["Oslo", "Bergen", "Turku", "Malmo", "Aarhus", "Odense", "Tartu", "Vilnius", "Gdansk", "Lubeck"]
PETS = ["Rex", "Bella", "Momo", "Pixel", "Otis", "Nala", "Juno", "Loki", "Ruby", "Taco"]
JOBS = ["nurse", "baker", "pilot", "welder", "judge", "editor", "farmer", "plumber", "chemist", "florist"]
BAIT = "You are a vegan who runs marathons in Patagonia."
PASSAGE = "Leaders who meditate at dawn sleep better in Kathmandu."


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One conversation: what is said, and what the careless model makes of it."""

    member: str
    clone: str = "Thank you for telling me."
    proposals: tuple[dict[str, Any], ...]


def suggest(text: str, quote: str, **others: Any) -> dict[str, Any]:
    return {
        "kind": "context_to_remember",
        "text": text,
        "quote": quote,
        "message_number": 1,
        "confidence": 0.9,
        "replaces": 0,
    } | others


def write_scenes(number: int) -> Iterator[Scene]:
    """Ten conversations of one person."""
    home, later_home = HOMES[number], HOMES[(number + 3) % PEOPLE]
    pet, job, days = PETS[number], JOBS[number], 2 + number % 4
    yield Scene(
        member=f"Hello. I live in {home} with my family. What is a good first week?",
        clone=f"In {home}, a good first week has few meetings.",
        proposals=(
            suggest(f"Lives in {home} with the family.", f"I live in {home} with my family"),
            suggest("A good first week has few meetings.", "a good first week has few meetings"),
        ),
    )
    yield Scene(
        member="Please note that I prefer short answers, they help me most.",
        proposals=(
            suggest("Prefers short answers.", "I prefer short answers", kind="user_preferences"),
            suggest("The member prefers short answers.", "I prefer short answers", kind="user_goals"),
        ),
    )
    yield Scene(
        member=f"My dog is called {pet} and needs a walk at noon.",
        proposals=(suggest(f"The dog is called {pet}.", f"My dog is called {pet}"),),
    )
    yield Scene(
        member="Yes, that sounds right to me.",
        clone=BAIT,
        proposals=(
            suggest("Is a vegan who runs marathons in Patagonia.", BAIT),
            suggest("Is a vegan who runs marathons.", "Yes, that sounds right to me", confidence=1.0),
            suggest("Runs marathons in Patagonia.", "Yes, that sounds right to me"),
        ),
    )
    yield Scene(
        member=f"As I said, I live in {home}. And I work {days} days a week at the moment.",
        proposals=(
            suggest(f"Lives in {home}.", f"I live in {home}"),
            suggest(f"Works {days} days a week.", f"I work {days} days a week"),
        ),
    )
    yield Scene(
        member=f"News: I work {days + 1} days a week now.",  # the model does not see that it replaces anything
        proposals=(suggest(f"Works {days + 1} days a week.", f"I work {days + 1} days a week"),),
    )
    yield Scene(
        member=f"We moved! I live in {later_home} now, my dog {pet} likes the sea.",
        proposals=(
            suggest(f"Lives in {later_home}.", f"I live in {later_home} now", replaces=1),
            suggest("Is a vegan who runs marathons.", BAIT),
        ),
    )
    yield Scene(
        member=f"You wrote: {PASSAGE} I find that surprising.",
        clone=f"As I write in my book: {PASSAGE} [1]",
        proposals=(
            suggest("Meditates at dawn to sleep better.", PASSAGE, kind="user_goals"),
            suggest("Leaders sleep better in Kathmandu.", "sleep better in Kathmandu", confidence=0.3),
        ),
    )
    yield Scene(
        member=f"I work as a {job}, and my goal is to lead a team of five by summer.",
        proposals=(
            suggest(f"Works as a {job}.", f"I work as a {job}"),
            suggest("Wants to lead a team of five by summer.", "my goal is to lead a team of five by summer"),
            suggest("Wants to lead a team of fifty.", "my goal is to lead a team of five", message_number=7),
        ),
    )
    yield Scene(
        member=f"Remember that I prefer short answers, and that my dog is called {pet}.",
        proposals=(
            suggest("Prefers short answers!", "I prefer short answers", kind="user_preferences"),
            suggest(f"Dog is called {pet}", f"my dog is called {pet}"),
        ),
    )


def hold(scene: Scene, *, clone: Clone, user: User, at: Any) -> Source:
    """Holds the conversation; what the job behind it reads."""
    session = ChatSession.objects.create(clone=clone, user=user)
    said = Message.objects.create(session=session, role=Role.USER, content=scene.member, created_at=at)
    Message.objects.create(
        session=session,
        role=Role.ASSISTANT,
        content=scene.clone,
        reply_to=said,
        created_at=at + timedelta(seconds=5),
    )
    source = load_source(session_id=session.pk)
    assert source is not None
    return source


@pytest.fixture
def people(clone: Clone, provider: FakeProvider) -> list[User]:
    """Ten people after ten conversations each, which took turns."""
    found = [User.objects.create_user(email=f"p{number}@example.com") for number in range(PEOPLE)]
    scenes = [list(write_scenes(number)) for number in range(PEOPLE)]
    began = timezone.now() - timedelta(days=100)

    async def play_all() -> None:
        """As the job does it, in one event loop: a client for each would take most of the time."""
        for round_number, number in product(range(10), range(PEOPLE)):
            scene, at = scenes[number][round_number], began + timedelta(days=round_number, minutes=number)
            source = await run_in_thread(hold, scene, clone=clone, user=found[number], at=at)
            provider.next(Fault(path="/chat/completions", json_answer={"memories": list(scene.proposals)}))
            proposals = await propose(source)
            await run_in_thread(keep, source=source, proposals=proposals)

    asyncio.run(play_all())
    return found


def active_texts(user: User) -> list[str]:
    return sorted(Memory.objects.active().filter(user=user).values_list("text", flat=True))


def test_a_hundred_sessions_leave_what_members_said_and_nothing_else(
    people: list[User], clone: Clone, provider: FakeProvider
) -> None:
    check_what_is_kept(people)
    check_what_was_sent(provider)
    check_what_comes_back(people, clone=clone, provider=provider)


def check_what_is_kept(people: list[User]) -> None:
    """Planted facts are there once, contradicted ones superseded, and of the bait nothing."""
    assert ChatSession.objects.count() == 100
    for number, user in enumerate(people):
        days = 2 + number % 4
        assert active_texts(user) == sorted(
            [
                f"Lives in {HOMES[(number + 3) % PEOPLE]}.",
                "Prefers short answers.",
                f"The dog is called {PETS[number]}.",
                f"Works as a {JOBS[number]}.",
                f"Works {days + 1} days a week.",
                "Wants to lead a team of five by summer.",
            ]
        )
        superseded = Memory.objects.filter(user=user, state=MemoryState.SUPERSEDED)
        assert {memory.text for memory in superseded} == {
            f"Lives in {HOMES[number]} with the family.",
            f"Works {days} days a week.",
        }
        assert all(memory.superseded_by_id for memory in superseded)
    words = " ".join(Memory.objects.values_list("text", flat=True))
    for bait in ("vegan", "marathon", "Patagonia", "Kathmandu", "meditate", "fifty", "few meetings"):
        assert bait.lower() not in words.lower()
    for memory in Memory.objects.select_related("message__session"):
        assert memory.quote.lower() in memory.message.content.lower()
        assert memory.message.role == Role.USER
        assert memory.message.session.user_id == memory.user_id
    told_twice = Memory.objects.filter(text="Prefers short answers.")
    assert {(memory.state, memory.mentions) for memory in told_twice} == {(MemoryState.CONFIRMED, 2)}
    assert told_twice.count() == PEOPLE


def check_what_was_sent(provider: FakeProvider) -> None:
    """The members' own words alone."""
    sent = [request.json["messages"][-1]["content"] for request in provider.requests_to("/chat/completions")]
    assert len(sent) == 100
    transcripts = [text.partition("<transcript>")[2] for text in sent]
    assert not [text for text in transcripts if "vegan" in text or "EXPERT" in text]


def check_what_comes_back(people: list[User], *, clone: Clone, provider: FakeProvider) -> None:
    """Planted facts stand in the prompts of later conversations."""
    Clone.objects.filter(pk=clone.pk).update(is_strict=False)
    clone.refresh_from_db()

    async def ask(user: User, question: str) -> str:
        session = await ChatSession.objects.acreate(clone=clone, user=user)
        started = await start_turn(session=session, content=question)
        answer = await wait_for_answer(answer_id=started.answer_id, timeout_seconds=30)
        assert await answer.memories.aexists()
        return asked_for_answers(provider)[-1].json["messages"][0]["content"]

    async def ask_all() -> None:
        for number, user in enumerate(people):
            prompt = await ask(user, "Where should I walk with my dog?")
            block = prompt.partition("<memories>")[2]
            assert f"The dog is called {PETS[number]}." in block
            assert "Prefers short answers." in block  # how to answer always counts
            assert f"Lives in {HOMES[number]} " not in block
            everything = await ask(user, "What do you remember about me?")
            assert f"Works as a {JOBS[number]}." in everything.partition("<memories>")[2]

    asyncio.run(ask_all())
