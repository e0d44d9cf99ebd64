"""Floors from judged questions: what they trade is counted, and the command proposes and applies."""

import pytest
from django.core.management import CommandError, call_command

from billing.prices import seed_prices
from chat.calibration import Judged, choose_floor, weigh_floors
from chat.evaluation_questions import import_questions
from clones.models import Clone
from knowledge.models import Document

CSV = (
    "question,expected_quotes,expects_no_answer\n"
    "How long does the pepper soup simmer?,Simmer it for twenty-five minutes,\n"
    "How often do I hold a one-on-one?,Hold a one-on-one with every person each week,\n"
    "Who won the football world cup in 1974?,,yes\n"
)
SURE = Judged(is_answerable=True, best=0.8, passages=((0.8, True), (0.1, False)))
WEAK = Judged(is_answerable=True, best=0.5, passages=((0.5, False), (0.3, True)))
NONSENSE = Judged(is_answerable=False, best=0.4, passages=((0.4, False),))


def test_model_floor_asks_the_best_passage_and_the_clones_own_asks_each():
    by_model = {one.floor: one for one in weigh_floors(judged=[SURE, WEAK, NONSENSE], is_clones_own=False)}
    assert (by_model[0.4].recall, by_model[0.4].let_through) == (1.0, 1.0)
    assert (by_model[0.41].recall, by_model[0.41].let_through) == (1.0, 0.0)
    assert by_model[0.51].recall == 0.5
    own = {one.floor: one for one in weigh_floors(judged=[SURE, WEAK, NONSENSE], is_clones_own=True)}
    assert own[0.41].recall == 0.5


def test_floor_is_the_lowest_that_refuses_most_for_what_may_be_lost():
    trades = weigh_floors(judged=[SURE, WEAK, NONSENSE], is_clones_own=False)
    assert choose_floor(trades=trades).floor == 0.41
    stricter = Judged(is_answerable=False, best=0.7, passages=((0.7, False),))
    trades = weigh_floors(judged=[SURE, WEAK, stricter], is_clones_own=False)
    assert choose_floor(trades=trades).let_through == 1.0  # refusing it would cost half of the recall
    assert choose_floor(trades=trades, most_lost=0.5).floor == 0.71


def test_without_nonsense_the_highest_floor_that_costs_nothing_is_taken():
    trades = weigh_floors(judged=[SURE, WEAK], is_clones_own=False)
    assert choose_floor(trades=trades).floor == 0.5


def test_command_says_what_it_trades_and_applies_only_when_asked(
    transactional_db: None, clone: Clone, material: Document, capsys
):
    seed_prices()
    with pytest.raises(CommandError, match="expected quotes"):
        call_command("calibrate_threshold", "ada")
    import_questions(clone=clone, content=CSV.encode())
    call_command("calibrate_threshold", "ada")
    said = capsys.readouterr().out
    assert "2 questions with an expected passage, 1 that expect no answer" in said
    assert "of questions without an answer 0.000 get passages" in said
    clone.refresh_from_db()
    assert clone.similarity_threshold is None
    call_command("calibrate_threshold", "ada", "--apply")
    clone.refresh_from_db()
    assert clone.similarity_threshold is not None
    assert 0 < clone.similarity_threshold < 1
    with pytest.raises(CommandError, match="There is no clone"):
        call_command("calibrate_threshold", "nobody")
