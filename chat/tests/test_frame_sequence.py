"""One reader's place in an answer, whatever the channel layer loses, doubles or turns around."""

from hypothesis import given
from hypothesis import strategies as st

from chat.frame_sequence import REPLAY_PATIENCE, FrameSequence, Verdict

LAST = 6


def judge(sequence: FrameSequence, seq: int, *, answer_id: str = "a", last: int = LAST) -> Verdict:
    return sequence.judge(answer_id=answer_id, seq=seq, is_complete=seq == last)


def test_frames_in_their_order_are_sent():
    sequence = FrameSequence()
    assert [judge(sequence, seq) for seq in range(LAST + 1)] == [Verdict.SEND] * (LAST + 1)


def test_an_answer_without_text_is_its_last_frame():
    assert judge(FrameSequence(), 0, last=0) is Verdict.SEND


def test_a_frame_that_was_sent_is_dropped():
    sequence = FrameSequence()
    judge(sequence, 0)
    assert judge(sequence, 0) is Verdict.DROP


def test_the_writer_is_asked_once_for_what_is_missing():
    sequence = FrameSequence()
    judge(sequence, 0)
    assert judge(sequence, 2) is Verdict.ASK_WRITER
    assert sequence.last_seq(answer_id="a") == 0
    assert judge(sequence, 3) is Verdict.DROP
    sequence.note_replay(answer_id="a")
    assert [judge(sequence, seq) for seq in (1, 2, 3, 4)] == [Verdict.SEND] * 4


def test_the_writer_is_asked_again_when_the_next_frames_are_missing_too():
    sequence = FrameSequence()
    judge(sequence, 0)
    judge(sequence, 2)
    sequence.note_replay(answer_id="a")
    judge(sequence, 1)
    assert judge(sequence, 4) is Verdict.ASK_WRITER
    assert sequence.last_seq(answer_id="a") == 1


def test_the_writer_is_asked_again_when_a_frame_came_without_the_replay():
    sequence = FrameSequence()
    judge(sequence, 0)
    assert [judge(sequence, seq) for seq in (2, 1, 3)] == [
        Verdict.ASK_WRITER,
        Verdict.SEND,
        Verdict.ASK_WRITER,
    ]


def test_the_writer_is_asked_again_when_the_replay_does_not_come():
    sequence = FrameSequence()
    judge(sequence, 0, last=999)
    verdicts = [judge(sequence, seq, last=999) for seq in range(2, 3 * REPLAY_PATIENCE)]
    asked_at = [number for number, verdict in enumerate(verdicts) if verdict is Verdict.ASK_WRITER]
    assert asked_at == [0, REPLAY_PATIENCE + 1, 2 * (REPLAY_PATIENCE + 1)]
    assert set(verdicts) == {Verdict.ASK_WRITER, Verdict.DROP}
    assert sequence.last_seq(answer_id="a") == 0


def test_what_is_missing_before_the_last_frame_is_read_from_the_database():
    sequence = FrameSequence()
    judge(sequence, 0)
    judge(sequence, 2)
    assert judge(sequence, LAST) is Verdict.READ_STORED
    sequence.start_after(0, answer_id="a", is_replay_asked=False)
    assert [judge(sequence, seq) for seq in range(1, LAST + 1)] == [Verdict.SEND] * LAST


def test_the_end_that_a_dead_writer_got_is_sent_though_it_lies_behind_what_was_shown():
    sequence = FrameSequence()
    for seq in range(5):
        judge(sequence, seq, last=99)
    assert judge(sequence, 2, last=2) is Verdict.SEND


def test_who_comes_in_amid_an_answer_is_waited_for_once():
    sequence = FrameSequence()
    assert judge(sequence, 3) is Verdict.AWAIT_READER
    assert sequence.is_reader_awaited(answer_id="a")
    assert [judge(sequence, seq) for seq in (4, LAST)] == [Verdict.DROP] * 2
    sequence.start_after(2, answer_id="a", is_replay_asked=True)
    assert not sequence.is_reader_awaited(answer_id="a")
    assert [judge(sequence, seq) for seq in range(3, LAST + 1)] == [Verdict.SEND] * 4


def test_live_frames_wait_for_the_replay_that_a_resume_asks_for():
    sequence = FrameSequence()
    sequence.start_after(0, answer_id="a", is_replay_asked=True)
    assert judge(sequence, 3) is Verdict.DROP
    sequence.note_replay(answer_id="a")
    assert [judge(sequence, seq) for seq in (1, 2, 3)] == [Verdict.SEND] * 3


def test_the_end_that_comes_live_after_it_was_read_from_the_database_is_dropped():
    sequence = FrameSequence()
    sequence.start_after(LAST - 1, answer_id="a", is_replay_asked=False)
    assert [judge(sequence, LAST), judge(sequence, LAST)] == [Verdict.SEND, Verdict.DROP]
    assert not sequence.is_reader_awaited(answer_id="a")


def test_a_finished_answer_is_sent_again_to_who_asks_for_it():
    sequence = FrameSequence()
    for seq in range(LAST + 1):
        judge(sequence, seq)
    assert judge(sequence, 0) is Verdict.DROP
    sequence.start_after(-1, answer_id="a", is_replay_asked=False)
    assert [judge(sequence, seq) for seq in range(LAST + 1)] == [Verdict.SEND] * (LAST + 1)


def test_an_answer_that_goes_on_behind_its_end_is_shown_anew():
    """Its writer had been silent for so long that it was taken for dead."""
    sequence = FrameSequence()
    judge(sequence, 0)
    judge(sequence, 1, last=1)
    assert judge(sequence, 2) is Verdict.AWAIT_READER


def test_frames_are_held_while_the_reader_who_was_waited_for_is_heard():
    sequence = FrameSequence()
    judge(sequence, 3)
    sequence.hear_reader(answer_id="a")
    assert not sequence.is_reader_awaited(answer_id="a")
    assert judge(sequence, 4) is Verdict.DROP
    sequence.forget(answer_id="a")
    assert judge(sequence, 5) is Verdict.AWAIT_READER


def test_answers_do_not_disturb_each_other():
    sequence = FrameSequence()
    judge(sequence, 0)
    assert judge(sequence, 3, answer_id="b") is Verdict.AWAIT_READER
    assert judge(sequence, 1) is Verdict.SEND


@given(st.lists(st.tuples(st.integers(0, LAST - 1), st.booleans()), max_size=30))
def test_every_frame_is_shown_once_and_in_order_whatever_arrives(arrivals: list[tuple[int, bool]]):
    """Frames and whether the oldest replay comes behind them; in the end the last frame, with all in the database."""
    sequence, shown = FrameSequence(), list[int]()
    asked: list[int] = []
    sequence.start_after(-1, answer_id="a", is_replay_asked=False)

    def take(seq: int) -> None:
        match judge(sequence, seq):
            case Verdict.SEND:
                shown.append(seq)
            case Verdict.ASK_WRITER:
                asked.append(sequence.last_seq(answer_id="a"))
            case Verdict.READ_STORED:
                after_seq = sequence.last_seq(answer_id="a")
                sequence.start_after(after_seq, answer_id="a", is_replay_asked=False)
                for stored in range(after_seq + 1, LAST + 1):
                    take(stored)

    written = 0
    for seq, replay_comes in arrivals:
        written = max(written, seq)
        take(seq)
        if asked and replay_comes:
            for missed in range(asked.pop(0) + 1, written + 1):
                sequence.note_replay(answer_id="a")
                take(missed)
    take(LAST)
    assert shown == list(range(LAST + 1))
