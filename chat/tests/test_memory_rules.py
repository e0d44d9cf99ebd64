"""What may become a memory, and what a new one does to an old one."""

import pytest

from chat.memory_rules import Finding, Relation, compare, find_objection, make_fingerprint, may_replace

MESSAGES = [
    "I work four days a week, and I can't stand long meetings.",
    "Off the record: I am looking for another job.",
    "My card is 4111 1111 1111 1111, keep it safe.",
]


def find(text: str, quote: str, *, number: int = 1, confidence: float = 0.9) -> Finding:
    return Finding(
        kind="context_to_remember", text=text, quote=quote, message_number=number, confidence=confidence
    )


def object_to(finding: Finding, *, answers: tuple[str, ...] = (), cosine: float | None = None) -> str:
    return find_objection(finding, messages=MESSAGES, answers=answers, cosine_to_quote=cosine)


@pytest.mark.parametrize(
    ("finding", "reason"),
    [
        (find("Works four days a week.", "I work four days a week"), ""),
        (find("Dislikes long meetings.", "I can’t stand   long meetings."), ""),
        (find("Works four days a week.", "I work five days a week"), "not the member's words"),
        (find("Works four days a week.", "work four"), "not the member's words"),
        (find("Works four days a week.", "I work four days a week", number=9), "no such message"),
        (find("Works four days a week.", "I work four days a week", number=0), "no such message"),
        (find("Works four days?", "I work four days a week"), "a question"),
        (find("Works four days.", "I work four days a week", confidence=0.4), "not sure enough"),
        (find("Works in Paris.", "I work four days a week"), "says more than its quote"),
        (find("Works 40 hours.", "I work four days a week"), "says more than its quote"),
        (find("Is vegan.", "I work four days a week"), "says more than its quote"),
        (find("Looks for another job.", "I am looking for another job", number=2), "off the record"),
        (find("Has a card.", "My card is 4111 1111 1111 1111", number=3), "looks like a secret"),
        (find("x" * 301, "I work four days a week"), "empty or too long"),
    ],
)
def test_proposals_are_kept_or_refused_with_their_reason(finding: Finding, reason: str) -> None:
    assert object_to(finding) == reason


def test_what_repeats_the_clone_is_not_the_members_own() -> None:
    finding = find("Works four days a week.", "I work four days a week")
    assert object_to(finding, answers=("So: I work four days a week!",)) == "the clone's words, repeated"
    assert object_to(finding, answers=("Four days are plenty.",)) == ""


def test_other_words_than_the_quotes_need_a_near_vector() -> None:
    finding = find("Prefers brevity.", "I can't stand long meetings")
    assert object_to(finding, cosine=0.1) == "says more than its quote"
    assert object_to(finding, cosine=0.4) == ""


@pytest.mark.parametrize(
    ("new", "old", "relation"),
    [
        ("Prefers short answers.", "The member prefers short answers!", Relation.SAME),
        ("Lives in Oslo.", "Lives in Oslo with the family.", Relation.SAME),
        ("Works 5 days a week.", "Works 4 days a week.", Relation.CONTRADICTS),
        ("Works five days a week.", "Works four days a week.", Relation.CONTRADICTS),
        ("Is not a vegetarian any more.", "Is a vegetarian.", Relation.CONTRADICTS),
        ("Is not a vegetarian.", "Is a vegetarian.", Relation.CONTRADICTS),
        ("Lives in Bergen.", "Lives in Oslo.", Relation.CONTRADICTS),
        ("The dog is called Momo.", "The dog is called Rex.", Relation.CONTRADICTS),
        ("The cat is called Momo.", "The dog is called Rex.", Relation.OTHER),
        ("Prefers long answers.", "Prefers short answers.", Relation.CONTRADICTS),
        ("Wohnt in Wien.", "Wohnt in Graz.", Relation.CONTRADICTS),
        ("Likes tea.", "Likes coffee.", Relation.OTHER),
        ("The daughter Anna plays chess.", "The daughter Anna plays football.", Relation.OTHER),
    ],
)
def test_relation_of_two_statements(new: str, old: str, relation: Relation) -> None:
    assert compare(new, old) == relation


def test_near_vectors_make_other_words_the_same_unless_names_differ() -> None:
    assert compare("Enjoys hiking.", "Loves long walks.", cosine=0.95) == Relation.SAME
    assert compare("Enjoys hiking.", "Loves long walks.", cosine=0.8) == Relation.OTHER
    assert compare("Works with Anna.", "Collaborates with Berta.", cosine=0.95) == Relation.OTHER


def test_the_models_word_for_a_replacement_needs_something_in_common() -> None:
    assert may_replace("Now likes hiking alone.", "Likes hiking in groups.", cosine=None)
    assert not may_replace("Has two sons.", "Prefers short answers.", cosine=0.05)


def test_a_fingerprint_is_of_words_person_and_clone() -> None:
    one = make_fingerprint("Lives in Oslo.", user_id=1, clone_id=1)
    assert one == make_fingerprint("lives  in OSLO", user_id=1, clone_id=1)
    assert one != make_fingerprint("Lives in Oslo.", user_id=2, clone_id=1)
    assert one != make_fingerprint("Lives in Oslo.", user_id=1, clone_id=2)
