"""Which tokens a finished call is charged for: the provider's figures where they can be true, else what was counted.

What the provider reports is booked as it is, also when it is more than was held. What we count ourselves is booked
when the provider reported nothing, or nothing that can be true: the input that was counted beforehand, and the text
that came. A request that may have reached the provider and brought no answer, after which the client tried again, is
charged for its input too, as far as the call's reservation reaches.
"""

import logging
from dataclasses import replace

from billing.calls import CallTrace, Usage
from billing.models import Outcome, Reservation
from billing.prices import MILLION, cost_usd, price_of
from billing.tokens import count_tokens

logger = logging.getLogger(__name__)

# Two vocabularies, and the prompts that servers add, are never further apart than this; beyond it is a defect.
BELIEVABLE_FACTOR, BELIEVABLE_TOKENS = 10, 1000


def find_charged_usage(*, trace: CallTrace, reservation: Reservation, outcome: Outcome) -> Usage | None:
    """None when nothing is owed: no request can have been worked on. Counts text, so call it in a thread."""
    is_owed = trace.is_answered or trace.lost or trace.usage or outcome == Outcome.SUCCESS
    if not is_owed:
        return None
    answered = _read_reported(trace=trace, reservation=reservation)
    if answered is None:
        was_answered = trace.is_answered or outcome == Outcome.SUCCESS
        answered = Usage(
            input_tokens=reservation.input_tokens if was_answered else 0,
            cached_input_tokens=0,
            output_tokens=_count_text(trace, reservation),
        )
    lost_tokens = _find_lost_tokens(answered=answered, trace=trace, reservation=reservation)
    return replace(answered, input_tokens=answered.input_tokens + lost_tokens)


def _read_reported(*, trace: CallTrace, reservation: Reservation) -> Usage | None:
    """The provider's figures, if they can be true; of a stream that broke off they may be those of its beginning."""
    usage = trace.usage
    if usage is None:
        return None
    most_input = BELIEVABLE_FACTOR * reservation.input_tokens + BELIEVABLE_TOKENS
    most_output = BELIEVABLE_FACTOR * reservation.max_output_tokens + BELIEVABLE_TOKENS
    is_silent = bool(trace.text) and not usage.output_tokens
    if (
        usage.input_tokens > most_input
        or usage.output_tokens > most_output
        or (is_silent and trace.finish_reason)
    ):
        logger.warning(
            "%s reported %d tokens in and %d out, which cannot be; ours are booked.",
            reservation.model,
            usage.input_tokens,
            usage.output_tokens,
        )
        return None
    if trace.finish_reason:
        return usage
    return replace(usage, output_tokens=max(usage.output_tokens, _count_text(trace, reservation)))


def _find_lost_tokens(*, answered: Usage, trace: CallTrace, reservation: Reservation) -> int:
    """Input tokens of the requests that brought no answer, as far as the reservation pays for them."""
    wanted = trace.lost * reservation.input_tokens
    price = price_of(reservation)
    if not wanted or not price.input_usd:
        return wanted
    room_usd = reservation.amount_usd - cost_usd(usage=answered, price=price)
    return min(wanted, max(0, int(room_usd * MILLION / price.input_usd)))


def _count_text(trace: CallTrace, reservation: Reservation) -> int:
    return count_tokens(trace.text, model=reservation.model)
