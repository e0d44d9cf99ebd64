"""Words that call for help are recognised in several languages, and everyday sayings are not."""

import pytest

from chat.distress import speaks_of_distress


@pytest.mark.parametrize(
    "text",
    [
        "Sometimes I want to die.",
        "I’ve been thinking about killing myself",
        "I cut myself again last night",
        "there is no point in living",
        "Ich will nicht mehr leben.",
        "Ich möchte mich umbringen",
        "J'ai envie de mourir",
        "A veces quiero morir",
        "Voglio morire",
        "Ik wil niet meer leven",
        "Não quero mais viver",
        "Jag vill inte leva",
        "Nie chcę już żyć",
        "Я не хочу больше жить",
    ],
)
def test_calls_for_help_are_recognised(text: str) -> None:
    assert speaks_of_distress(text)


@pytest.mark.parametrize(
    "text",
    [
        "This deadline is killing me.",
        "How do I end a meeting?",
        "My project is dead, how do I kill it gracefully?",
        "Have you seen Suicide Squad?",
        "Ich will mehr leben und weniger arbeiten.",
        "How do I cut costs myself?",
        "J'ai envie de vivre à Paris.",
    ],
)
def test_everyday_sayings_are_not(text: str) -> None:
    assert not speaks_of_distress(text)
