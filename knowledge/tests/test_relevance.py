"""The figures behind "found" and "not found"."""

import pytest

from knowledge.relevance import fuse_scores, judge_quality, relevance_of


def quality(best: float, *, floor: float = 0.2, count: int = 3) -> str:
    return judge_quality(best_relevance=best, floor=floor, chunk_count=count, diversity=1).status


def test_fused_order_rewards_being_good_at_both():
    scores = fuse_scores(similarities=[0.6, 0.5, 0.1], word_ranks=[0.0, 0.2, 0.2], word_weight=0.5)
    assert max(range(3), key=scores.__getitem__) == 1


def test_without_any_word_hit_the_vectors_alone_decide():
    scores = fuse_scores(similarities=[0.2, 0.4], word_ranks=[0.0, 0.0], word_weight=0.5)
    assert scores[1] > scores[0]


def test_passage_without_a_vector_counts_by_its_words():
    scores = fuse_scores(similarities=[None, 0.5], word_ranks=[0.3, 0.1], word_weight=0.4)
    assert scores[0] == 1.0
    assert relevance_of(similarity=None, word_share=0.4) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("best", "status"),
    [(0.21, "poor"), (0.27, "fair"), (0.37, "good"), (0.57, "excellent"), (1.4, "excellent")],
)
def test_status_follows_the_distance_from_the_floor(best: float, status: str):
    assert quality(best) == status


def test_nothing_above_the_floor_is_no_context():
    assert quality(0.9, count=0) == "no_context"


def test_score_stays_between_zero_and_one():
    assert judge_quality(best_relevance=1.4, floor=0.2, chunk_count=1, diversity=1).score == 1.0
    assert judge_quality(best_relevance=-0.1, floor=0.2, chunk_count=0, diversity=0).score == 0.0
