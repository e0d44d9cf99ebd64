"""The cast of every test: people with their roles, and clones that belong to them."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group

from cloneai.accounts.models import EXPERTS, REVIEWERS, User
from cloneai.local_ai.testing import FakeProvider
from cloneai.tests.log_watch import LogWatch
from clones.models import Clone, Visibility

PASSWORD = "correct horse battery staple"
PROVIDER_KEY = "sk-test-secret"


@pytest.fixture(scope="session")
def log_watch() -> Iterator[LogWatch]:
    """After the last test: no line of the whole run held a key, a cookie, or what somebody said."""
    watch = LogWatch()
    yield watch
    logging.getLogger().removeHandler(watch)
    assert not watch.found, "Log lines hold what they must not:\n" + "\n".join(sorted(set(watch.found))[:20])


@pytest.fixture(autouse=True)
def watched_log(log_watch: LogWatch) -> None:
    """For each test anew: importing the ASGI application configures logging again, without the watch."""
    if log_watch not in logging.getLogger().handlers:
        logging.getLogger().addHandler(log_watch)


def make_user(name: str, *, groups: tuple[str, ...] = (), **fields: object) -> User:
    user = User.objects.create_user(
        email=f"{name}@example.com", password=PASSWORD, name=name.replace("_", " ").title(), **fields
    )
    for group in groups:
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    return user


@pytest.fixture
def expert(db: None) -> User:
    return make_user("expert", is_staff=True, groups=(EXPERTS,))


@pytest.fixture
def other_expert(db: None) -> User:
    return make_user("other_expert", is_staff=True, groups=(EXPERTS,))


@pytest.fixture
def reviewer(db: None) -> User:
    return make_user("reviewer", is_staff=True, groups=(REVIEWERS,))


@pytest.fixture
def member(db: None) -> User:
    return make_user("member")


@pytest.fixture
def stranger(db: None) -> User:
    return make_user("stranger")


@pytest.fixture
def admin(db: None) -> User:
    return make_user("admin", is_staff=True, is_superuser=True)


@pytest.fixture
def clone(expert: User) -> Clone:
    return Clone.objects.create(
        owner=expert,
        name="Ada Berg",
        slug="ada",
        headline="a coach for people who lead their first team",
        bio="Ada Berg has led teams for twenty years.",
        expertise_areas=["leadership", "feedback"],
        greeting="Hello, what is on your mind?",
        visibility=Visibility.PUBLIC,
    )


@pytest.fixture
def other_clone(other_expert: User) -> Clone:
    """A private clone of somebody else."""
    return Clone.objects.create(owner=other_expert, name="Bo Holm", slug="bo", visibility=Visibility.PRIVATE)


def use_provider(settings: Any, server: FakeProvider) -> None:
    settings.AI_OFFLINE = False
    settings.OPENAI_API_KEY = PROVIDER_KEY
    settings.OPENAI_BASE_URL = server.base_url
    settings.GPT_4_MODEL = settings.FUNCTION_CALLING_MODEL = "gpt-4.1"
    settings.GPT_4_MINI_MODEL = "gpt-4o-mini"
    settings.EMBEDDING_MODEL = "text-embedding-3-large"
    settings.EMBEDDING_DIMENSIONS = 1536


@pytest.fixture
def provider(settings: Any) -> Iterator[FakeProvider]:
    """The product pointed at a local HTTP server of OpenAI's format, as by OPENAI_API_KEY and OPENAI_BASE_URL."""
    with FakeProvider() as server:
        use_provider(settings, server)
        yield server
