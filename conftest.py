"""The cast of every test: people with their roles, and clones that belong to them."""

import pytest
from django.contrib.auth.models import Group

from cloneai.accounts.models import EXPERTS, REVIEWERS, User
from clones.models import Clone, Visibility

PASSWORD = "correct horse battery staple"


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
