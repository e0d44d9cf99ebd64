"""Is a limit ever overrun: two processes with 200 calls at once each, one dollar.

Each call holds 3.2 cents at worst and costs a hundredth of a cent, so 31 fit at once and the others are refused until
some are settled. The peak of settled and reserved is read every few milliseconds while they run.
"""

import threading
from decimal import Decimal

from benchmarks.harness import Result

LIMIT_USD = Decimal(1)
PROCESSES, CALLS_EACH = 2, 200


def run() -> Result:
    from django.db import connection

    from billing.models import CostRecord, SpendAccount
    from billing.reconciliation import find_differences, find_unrecorded
    from billing.tests.fake_provider import FakeProvider
    from billing.tests.test_processes import spent, start_caller

    peaks, done = [Decimal(0)], threading.Event()

    def watch() -> None:
        while not done.wait(0.003):
            peaks.append(spent())
        connection.close()

    with FakeProvider() as provider:
        watcher = threading.Thread(target=watch)
        watcher.start()
        callers = [start_caller(provider, calls=CALLS_EACH) for _ in range(PROCESSES)]
        answered = sum(int(caller.communicate(timeout=300)[0]) for caller in callers)
        done.set()
        watcher.join()
        requests = len(provider.requests)
    total = PROCESSES * CALLS_EACH
    settled = SpendAccount.objects.get().settled_usd
    recorded = sum(CostRecord.objects.values_list("cost_usd", flat=True), Decimal(0))
    off = len(find_differences()) + len(find_unrecorded())
    peak = max(peaks)
    return Result(
        name="budget",
        question=f"do {total} calls at once of {PROCESSES} processes ever pass a limit of ${LIMIT_USD}?",
        ratio=float(peak / LIMIT_USD),
        ratio_of="highest settled + reserved / limit",
        is_good=peak <= LIMIT_USD and requests == answered and settled == recorded and not off,
        columns=("", "figure"),
        rows=(
            ("calls", total),
            ("answered", answered),
            ("refused", total - answered),
            ("requests that reached the provider", requests),
            ("refused calls that reached the provider", requests - answered),
            (f"highest settled + reserved, of {len(peaks)} looks (USD)", peak),
            ("counter at the end (USD)", settled),
            ("sum of the cost records (USD)", recorded),
            ("accounts or reservations that do not fit", off),
        ),
    )
