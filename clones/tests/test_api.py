"""Clones over the JSON API: what may be written, what null and blank mean, and who gets to see which fields."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from clones.models import Clone

PUBLIC_KEYS = {
    "slug",
    "name",
    "headline",
    "bio",
    "expertise_areas",
    "greeting",
    "starter_questions",
    "visibility",
    "is_strict",
    "accent_color",
}


@pytest.fixture
def owner(client: Client, clone: Clone) -> Client:
    client.force_login(clone.owner)
    return client


def patch(client: Client, **fields: Any) -> Any:
    return client.patch("/api/clones/ada", fields, content_type="application/json")


def test_a_temperature_is_kept_as_written(owner: Client, clone: Clone):
    answer = patch(owner, temperature=0.35)
    assert (answer.status_code, answer.json()["temperature"]) == (200, 0.35)
    clone.refresh_from_db()
    assert clone.temperature == Decimal("0.35")


def test_a_temperature_with_more_places_is_refused(owner: Client, clone: Clone):
    answer = patch(owner, temperature=0.123)
    assert (answer.status_code, answer.json()["error_type"]) == (422, "invalid_request")
    assert answer.json()["message"].startswith("temperature")


def test_null_clears_the_threshold_and_absence_keeps_it(owner: Client, clone: Clone):
    assert patch(owner, similarity_threshold=0.4).json()["similarity_threshold"] == 0.4
    assert patch(owner, headline="New").json()["similarity_threshold"] == 0.4
    answer = patch(owner, similarity_threshold=None)
    assert (answer.status_code, answer.json()["similarity_threshold"]) == (200, None)
    clone.refresh_from_db()
    assert clone.similarity_threshold is None


@pytest.mark.parametrize(
    "fields",
    [
        {"name": None},
        {"link_hosts": ["https://mara.example/"]},
        {"link_hosts": ["mara.example\n"]},
        {"name": "   "},
        {"no_answer_text": " \n "},
        {"temperature": None},
        {"is_strict": None},
        {"visibility": None},
        {"starter_questions": ["  "]},
        {"chunk_overlap_tokens": False},
        {"max_output_tokens": "500"},
        {"similarity_threshold": "0.5"},
        {"is_cleaning_on": "yes"},
    ],
)
def test_values_of_another_type_and_blanks_where_something_must_stand_are_refused(
    fields: dict[str, Any], owner: Client, clone: Clone
):
    answer = patch(owner, **fields)
    assert (answer.status_code, answer.json()["error_type"]) == (422, "invalid_request")
    assert answer.json()["message"].startswith(next(iter(fields)))


def test_clones_of_one_name_get_addresses_of_their_own(owner: Client):
    slugs = [
        owner.post("/api/clones", {"name": "Ida Holm"}, content_type="application/json").json()["slug"]
        for _time in range(3)
    ]
    assert slugs == ["ida-holm", "ida-holm-2", "ida-holm-3"]


def test_a_slug_that_was_asked_for_and_is_taken_is_refused(owner: Client):
    answer = owner.post("/api/clones", {"name": "Ida", "slug": "ada"}, content_type="application/json")
    assert answer.status_code == 422
    assert "slug" in answer.json()["message"]


def test_what_may_be_written_is_read_back_by_whoever_may_write_it(client: Client, clone: Clone, admin: Any):
    for person in (clone.owner, admin):
        client.force_login(person)
        fields = client.get("/api/clones/ada").json()
        assert fields.keys() > PUBLIC_KEYS
        assert (fields["temperature"], fields["similarity_threshold"]) == (0.7, None)
        written = client.patch("/api/clones/ada", fields, content_type="application/json")
        assert (written.status_code, written.json()) == (200, fields)


def test_others_get_what_the_profile_shows(client: Client, clone: Clone, other_expert: Any, member: Any):
    for person in (other_expert, member):
        client.force_login(person)
        assert client.get("/api/clones/ada").json().keys() == PUBLIC_KEYS
