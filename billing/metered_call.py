"""One call between its two transactions: `MeteredCall` reserves on entry and settles on exit, whatever happens."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billing.calls import CallTrace, Usage
from billing.charging import find_charged_usage
from billing.errors import MeteredCallError
from billing.ledger import Bill, CallPlan, reserve, settle
from billing.models import Outcome, Reservation
from cloneai.threads import run_in_thread


@dataclass(frozen=True, slots=True)
class Settled:
    """What a finished call used and cost."""

    usage: Usage
    cost_usd: Decimal
    latency_ms: int


class MeteredCall:
    """An async context around one provider call: reserved on entry, settled on exit, whatever happens.

    Leave it by `await call.succeed()`, which settles and returns the figures, or by an exception.
    """

    def __init__(self, plan: CallPlan) -> None:
        self.plan = plan
        self.trace = CallTrace()
        self._reservation: Reservation | None = None

    async def __aenter__(self) -> "MeteredCall":
        task = asyncio.ensure_future(run_in_thread(reserve, plan=self.plan))
        try:
            self._reservation = await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            if not task.cancelled() and task.exception() is None:
                self._reservation = task.result()
                await self._settle(outcome=Outcome.STOPPED)
            raise
        self.trace = CallTrace()  # the clock starts here, not before the reservation
        return self

    async def succeed(self) -> Settled:
        return await self._settle(outcome=Outcome.SUCCESS)

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if self._reservation is None:
            return
        if isinstance(error, MeteredCallError):
            error.text_so_far = self.trace.text
            await self._settle(outcome=Outcome.FAILED, error_type=error.error_type)
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            await self._settle(outcome=Outcome.STOPPED)
        else:
            await self._settle(outcome=Outcome.FAILED, error_type="unknown")

    async def _settle(self, *, outcome: Outcome, error_type: str = "") -> Settled:
        reservation, self._reservation = self._reservation, None
        assert reservation is not None, "a call is settled once"
        latency_ms = self.trace.elapsed_ms()
        task = asyncio.ensure_future(
            run_in_thread(
                _settle_call,
                reservation=reservation,
                trace=self.trace,
                outcome=outcome,
                error_type=error_type,
                latency_ms=latency_ms,
            )
        )
        try:
            usage, cost = await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise
        return Settled(usage=usage, cost_usd=cost, latency_ms=latency_ms)


def _settle_call(
    *, reservation: Reservation, trace: CallTrace, outcome: Outcome, error_type: str, latency_ms: int
) -> tuple[Usage, Decimal]:
    """Works out what is owed, which may mean counting text, and settles it."""
    usage = find_charged_usage(trace=trace, reservation=reservation, outcome=outcome)
    bill = Bill(
        outcome=outcome,
        usage=usage,
        latency_ms=latency_ms,
        time_to_first_token_ms=trace.time_to_first_token_ms,
        retries=trace.retries,
        error_type=error_type,
    )
    cost = settle(reservation=reservation, bill=bill)
    return usage or Usage(0, 0, 0), cost
