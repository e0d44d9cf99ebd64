"""Which frame of a running answer its reader gets next, and what to do when frames before it are missing.

Pure: no socket, no clock, no queries. `seq` counts the frames of one answer from 0; the last one is complete.
Enter at `FrameSequence.judge`.
"""

from dataclasses import dataclass
from enum import Enum, auto


class Verdict(Enum):
    """What to do with a frame that came in. Only with `SEND` is it shown."""

    SEND = auto()
    DROP = auto()  # shown before, or it comes again with what was asked for
    AWAIT_READER = auto()  # the reader came in amid the answer, and may say what they have seen of it
    ASK_WRITER = auto()  # for a replay of what is missing
    READ_STORED = auto()  # the writer is gone, so the database has everything


REPLAY_PATIENCE = 20  # frames, about a second of a fast answer: then the order, or what it brought, got lost


@dataclass(slots=True)
class _Place:
    next_seq: int = 0
    is_replay_asked: bool = False
    dropped_since: int = 0  # frames, while the replay is waited for
    is_held: bool = False  # until it is known what the reader has seen
    is_reader_heard: bool = False


class FrameSequence:
    """A reader's place in each answer that runs. Every frame is sent once, in the order of `seq`."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._ended_at: dict[str, int] = {}

    def judge(self, *, answer_id: str, seq: int, is_complete: bool) -> Verdict:
        """What to do with this frame now. The place moves on with it: a caller does what it is told."""
        if seq <= self._ended_at.get(answer_id, -1):  # its end was read from the database before it came live
            return Verdict.DROP
        place = self._places.get(answer_id)
        if place is None:
            place = self._places[answer_id] = _Place(is_held=seq > 0)
            if place.is_held:
                return Verdict.AWAIT_READER
        if place.is_held:
            return Verdict.DROP
        if seq > place.next_seq:
            if is_complete:
                return Verdict.READ_STORED
            if place.is_replay_asked and place.dropped_since < REPLAY_PATIENCE:
                place.dropped_since += 1
                return Verdict.DROP
            place.is_replay_asked, place.dropped_since = True, 0
            return Verdict.ASK_WRITER
        if is_complete:  # also below the next `seq`: a dead writer's end may lie behind what was shown
            del self._places[answer_id]
            self._ended_at[answer_id] = seq
            return Verdict.SEND
        if seq < place.next_seq:
            return Verdict.DROP
        place.next_seq, place.is_replay_asked = seq + 1, False
        return Verdict.SEND

    def start_after(self, seq: int, *, answer_id: str, is_replay_asked: bool) -> None:
        """The reader has seen the frames up to `seq` (-1: none) and gets those behind it."""
        self._ended_at.pop(answer_id, None)
        self._places[answer_id] = _Place(next_seq=seq + 1, is_replay_asked=is_replay_asked)

    def hear_reader(self, *, answer_id: str) -> None:
        """The reader who was waited for is about to say what they have seen. Until then frames are still dropped."""
        if place := self._places.get(answer_id):
            place.is_reader_heard = True

    def forget(self, *, answer_id: str) -> None:
        """Nobody could look up what was asked for: the next frame is one amid an answer."""
        self._places.pop(answer_id, None)

    def note_replay(self, *, answer_id: str) -> None:
        """What the writer was asked for is here; what is missing behind it must be asked for again."""
        if place := self._places.get(answer_id):
            place.is_replay_asked = False

    def running(self) -> list[str]:
        """The answers of which frames were sent, and not yet the last one."""
        return [answer_id for answer_id, place in self._places.items() if not place.is_held]

    def last_seq(self, *, answer_id: str) -> int:
        """The last frame of a running answer that was sent; -1 for none."""
        return self._places[answer_id].next_seq - 1

    def is_reader_awaited(self, *, answer_id: str) -> bool:
        place = self._places.get(answer_id)
        return place is not None and place.is_held and not place.is_reader_heard
