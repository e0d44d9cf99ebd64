"""Limits and settlement across processes, killed ones among them."""

import subprocess
import sys
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from billing.ledger import settle_abandoned
from billing.models import CostRecord, Reservation, SpendAccount
from billing.reconciliation import find_differences, find_unrecorded
from billing.tests.fake_provider import FakeProvider, chunk, hang, stream

pytestmark = pytest.mark.django_db(transaction=True)


def start_caller(provider: FakeProvider, *options: str, calls: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "billing.tests.caller"]
    arguments = [str(connection.settings_dict["NAME"]), provider.base_url, str(calls), *options]
    return subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def spent() -> Decimal:
    """Settled and reserved, in one look."""
    return sum(
        (account.settled_usd + account.reserved_usd for account in SpendAccount.objects.all()), Decimal(0)
    )


def test_two_processes_share_one_limit(provider: FakeProvider) -> None:
    """Each call holds 3.2 cents at worst and a hundredth of a cent in the end: 31 of 400 fit at once."""
    highest, done = [Decimal(0)], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            highest.append(spent())
        connection.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    callers = [start_caller(provider, calls=200) for _ in range(2)]
    answered = sum(int(caller.communicate(timeout=120)[0]) for caller in callers)
    done.set()
    watcher.join()
    assert 31 <= answered < 400
    assert len(provider.requests) == answered == CostRecord.objects.count()
    assert Decimal("0.5") < max(highest) <= 1
    assert (find_differences(), find_unrecorded()) == ([], [])
    assert SpendAccount.objects.get().reserved_usd == 0


def test_killed_process_neither_blocks_the_budget_nor_is_free(provider: FakeProvider) -> None:
    provider.replies = [hang]
    caller = start_caller(provider, calls=1)
    assert provider.asked.wait(60)
    caller.kill()
    caller.communicate()
    reservation = Reservation.objects.get(state="open")
    assert spent() == reservation.amount_usd > 0
    assert settle_abandoned(older_than=timedelta(0)) == 1
    record = CostRecord.objects.get()
    assert (record.outcome, record.cost_usd) == ("abandoned", reservation.amount_usd)
    assert SpendAccount.objects.get().reserved_usd == 0


def test_process_killed_during_a_stream_is_charged_and_frees_the_budget(provider: FakeProvider) -> None:
    provider.replies = [stream(chunk(text="Listen first"), then="stall")]
    caller = start_caller(provider, "stream", calls=1)
    assert caller.stdout is not None
    assert caller.stdout.readline() == "piece\n"
    caller.kill()
    caller.communicate()
    reservation = Reservation.objects.get(state="open")
    assert settle_abandoned(older_than=timedelta(0)) == 1
    record = CostRecord.objects.get()
    assert (record.outcome, record.cost_usd) == ("abandoned", reservation.amount_usd)
    assert (find_differences(), find_unrecorded(), spent()) == ([], [], record.cost_usd)
    assert SpendAccount.objects.get().reserved_usd == 0


def test_client_is_not_loaded_before_the_first_call() -> None:
    """It takes a second, which every command would pay for."""
    program = (
        "import os, sys, django; os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'cloneai.settings'); "
        "django.setup(); import billing.metering; print('openai' in sys.modules); "
        "billing.metering.load_client(); print('openai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
