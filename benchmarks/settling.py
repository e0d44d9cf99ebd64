"""How long until a conversation has left its summary: from its end to the page, and in the scan for idle ones.

A provider that takes PROVIDER_SECONDS (4) to answer, one job cluster, and a page that asks as the real one does. The
scan runs over SESSIONS (100,000) conversations, of which 100 are due: as many as one run takes.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.harness import Result

SESSIONS = int(os.environ.get("SESSIONS", "100000"))
PROVIDER_SECONDS = float(os.environ.get("PROVIDER_SECONDS", "4"))
DUE, ENDED, SCANS = 100, 3, 3
PAGE_ASKS_SECONDS = 0.7
GIVE_UP_SECONDS = 60
PROMISED_RATIO, PROMISED_SCAN_SECONDS = 2.0, 1.0


def run() -> Result:
    from cloneai.accounts.models import User
    from clones.models import Clone

    member = User.objects.create_user(email="member@example.com")
    clone = Clone.objects.create(owner=member, name="Clone", slug="clone", visibility="public")
    empty, full = time_scans(member=member, clone=clone)
    waits = time_ends(member=member, clone=clone)
    ratio = statistics.median(waits) / PROVIDER_SECONDS
    return Result(
        name="settling",
        question=f"how long from a conversation's end to its summary, and for the scan of {SESSIONS:,}?",
        ratio=ratio,
        ratio_of="from the end to the page that shows it / the provider's time",
        is_good=ratio <= PROMISED_RATIO and full < PROMISED_SCAN_SECONDS,
        columns=("seconds", "median"),
        rows=[
            (
                f"from the end to the summary (provider {PROVIDER_SECONDS:.0f} s)",
                f"{statistics.median(waits):.2f}",
            ),
            ("scan with nothing due", f"{empty:.4f}"),
            (f"scan that settles {DUE} conversations", f"{full:.3f}"),
        ],
        figures={
            "waits_seconds": waits,
            "scan_seconds": full,
            "empty_scan_seconds": empty,
            "sessions": SESSIONS,
        },
    )


def time_scans(*, member: object, clone: object) -> tuple[float, float]:
    """Median seconds of a scan without and with as much to do as one run takes."""
    from django.db import connection
    from django.utils import timezone
    from django_q.models import OrmQ

    from chat.models import ChatSession, Message, Role
    from chat.settling import settle_idle_sessions

    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO chat_chatsession
                (id, clone_id, user_id, title, created_at, last_activity_at, settled_at, is_remembered)
            SELECT gen_random_uuid(), %s, %s, '', at, at, at, true
            FROM (SELECT now() - number %% 50000 * interval '1 minute' AS at FROM generate_series(1, %s) AS number) AS n
            """,
            [clone.pk, member.pk, SESSIONS],  # type: ignore[attr-defined]
        )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE chat_chatsession")
    empty = [time_call(settle_idle_sessions) for _ in range(SCANS)]
    full = []
    for _ in range(SCANS):
        idle = now - timedelta(hours=2)
        due = ChatSession.objects.bulk_create(
            ChatSession(user=member, clone=clone, last_activity_at=idle) for _ in range(DUE)
        )
        Message.objects.bulk_create(
            Message(session=session, role=Role.ASSISTANT, content="Yes.") for session in due
        )
        full.append(time_call(settle_idle_sessions))
    OrmQ.objects.all().delete()
    return statistics.median(empty), statistics.median(full)


def time_ends(*, member: object, clone: object) -> list[float]:
    """Seconds from the end of each conversation until its page shows the summary."""
    from django.test import Client

    from chat.models import ChatSession, Message, Role
    from cloneai.local_ai.faults import Fault
    from cloneai.local_ai.testing import FakeProvider

    browser = Client(headers={"X-Requested-With": "fetch"}, SERVER_NAME="localhost")
    browser.force_login(member)
    waits = []
    with FakeProvider() as provider, JobCluster(provider.base_url):
        provider.always(Fault(path="/chat/completions", delay_seconds=PROVIDER_SECONDS))
        for number in range(ENDED + 1):
            session = ChatSession.objects.create(user=member, clone=clone, is_remembered=False)
            asked = Message.objects.create(
                session=session, role=Role.USER, content="How do I hand over work?"
            )
            Message.objects.create(
                session=session, role=Role.ASSISTANT, content="Step by step.", reply_to=asked
            )
            began = time.perf_counter()
            ended = browser.post(f"/chat/{session.pk}/end/")
            assert ended.status_code < 400, ended
            wait_for_summary(lambda path=f"/chat/{session.pk}/summary/": browser.get(path))
            if number:  # the first one waits for the cluster to start
                waits.append(time.perf_counter() - began)
    return waits


def wait_for_summary(ask: Callable[[], Any]) -> None:
    """Asks for the page as its script does, until it shows the summary."""
    give_up_at = time.perf_counter() + GIVE_UP_SECONDS
    while time.perf_counter() < give_up_at:
        page = ask()
        assert page.status_code == 200, page
        text = page.content.decode()
        assert 'data-state="failed"' not in text, text
        if 'data-state="ready"' in text:
            return
        time.sleep(PAGE_ASKS_SECONDS)
    raise TimeoutError("no summary came")


def time_call(work: object) -> float:
    started = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - started


class JobCluster:
    """One django-q2 cluster against the given provider."""

    def __init__(self, base_url: str) -> None:
        self.environment = {
            **os.environ, "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "sk-bench", "DATABASE_POOL": "false",
        }  # fmt: skip

    def __enter__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            cwd=Path(__file__).parent.parent,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
