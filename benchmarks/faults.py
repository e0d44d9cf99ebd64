"""What do people notice when PostgreSQL, Redis, the provider, a process or the disk fails while they are at work?

The set-up of compose.yaml (`cloneai.tests.scaled_out`): nginx, Redis, two web processes, two job clusters. Members
chat, an expert uploads, somebody opens pages, from before the first fault until after the last. Afterwards every
message must be there as it was read, every document processed, and the ledger equal to the counters. OUTAGE=5 for
shorter outages; PHASES names some of them. The full disk needs root, for a small file system of its own.
"""

import io
import os
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.fault_members import Diary, Expert, Member, Person, Seen, Visitor
from benchmarks.harness import Result

if TYPE_CHECKING:
    from cloneai.tests.scaled_out.installation import Installation

OUTAGE_SECONDS = float(os.environ.get("OUTAGE", "30"))
RECOVERY_SECONDS, END_SECONDS = 20.0, 150.0
# A writer counts as dead when it was silent for 20 s (DECISIONS 3): until then its reader waits, and then asks again.
LONGER = {"postgresql": 35.0, "web": 35.0}
MEMBERS, PROVIDER_FAILURES, KILLS, RESTART_SECONDS = 5, 0.2, 3, 3.0
DISK_BYTES, UPLOAD_BYTES = 4 * 2**20, 20_000
ALL_PHASES = ("calm", "postgresql", "redis", "provider", "web", "worker", "disk")
PHASES = os.environ.get("PHASES", ",".join(ALL_PHASES)).split(",")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What was seen from the fault's begin until things had time to recover; `over_at` is when it was mended."""

    name: str
    seen: Seen
    over_at: float

    def recovery_seconds(self, kind: str, people: Sequence[str]) -> float | None:
        """Until the last of these people met something good again; None when one of them never did."""
        waits = []
        for name in people:
            after = [at for at in self.seen.good_at.get(f"{kind} {name}", []) if at >= self.over_at]
            if not after:
                return None
            waits.append(after[0] - self.over_at)
        return max(waits)


def run() -> Result:
    from chat.tests.live import database_url_of_tests
    from cloneai.local_ai.faults import Fault
    from cloneai.local_ai.testing import FakeProvider
    from cloneai.tests.scaled_out.installation import Installation, find_missing_programs

    if missing := find_missing_programs():
        raise SystemExit(f"Not installed: {missing}")

    class FlakyProvider(FakeProvider):
        failures = 0.0

        def _take_fault(self, path: str) -> Fault:
            if random.random() < self.failures:
                return Fault(status=500)
            return super()._take_fault(path)

    with tempfile.TemporaryDirectory() as folder, small_disk() as disk, FlakyProvider() as provider:
        provider.always(Fault(path="/chat/completions", chunk_delay_seconds=0.03))
        answers = {
            "SECRET_KEY": secret_key(),
            "OPENAI_API_KEY": "sk-bench",
            "OPENAI_BASE_URL": provider.base_url,
        }
        overrides = {
            "DATABASE_URL": database_url_of_tests(),
            "VAR_DIR": os.environ["VAR_DIR"],
            "DOCUMENT_PROBES": "false",
            "DAILY_COST_LIMIT": "1000000",
            **({"STORAGE_URL": f"file://{disk}"} if disk else {}),
        }
        with Installation(folder=Path(folder), answers=answers, overrides=overrides) as installation:
            result = live_through(installation=installation, provider=provider, disk=disk)
        keep_logs(Path(folder))
        return result


def secret_key() -> str:
    from django.conf import settings

    return str(settings.SECRET_KEY)


def keep_logs(folder: Path) -> None:
    """LOGS=folder keeps what the processes said."""
    if wanted := os.environ.get("LOGS"):
        Path(wanted).mkdir(parents=True, exist_ok=True)
        for log in folder.glob("*.log"):
            (Path(wanted) / log.name).write_bytes(log.read_bytes())


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A file system of a few megabytes for uploads; None where it cannot be had."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder]
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def live_through(*, installation: "Installation", provider: Any, disk: Path | None) -> Result:
    from django.db import connections

    diary, end = Diary(), threading.Event()
    people = make_people(installation, diary)
    faults = make_faults(installation, provider, disk)
    connections.close_all()  # this process must not keep the server, nor find it away
    phases = []
    with ThreadPoolExecutor(len(people)) as pool:
        work = [pool.submit(person.live_until, end) for person in people]
        try:
            for name in [name for name in PHASES if name in faults]:
                diary.turn_page()
                faults[name]()
                over_at = time.monotonic()
                time.sleep(LONGER.get(name, RECOVERY_SECONDS))
                phases.append(Phase(name=name, seen=diary.now, over_at=over_at))
                print(
                    name, phases[-1].seen.answers, phases[-1].seen.pages, phases[-1].seen.uploads, flush=True
                )
        finally:
            end.set()
        for done in work:
            done.result()
    return judge(phases, people)


def make_people(installation: "Installation", diary: Diary) -> list[Person]:
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client

    from benchmarks.chat_clients import make_clone
    from benchmarks.ingestion_setup import KEY
    from chat.models import ChatSession
    from cloneai.accounts.models import ApiKey, User

    settings.AI_OFFLINE, settings.OPENAI_API_KEY = False, KEY
    settings.OPENAI_BASE_URL = installation.answers["OPENAI_BASE_URL"]
    settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS = "text-embedding-3-large", 1536
    expert = User.objects.create_user(email="expert@example.com", is_staff=True)
    call_command("migrate", verbosity=0)
    clone = make_clone(owner=expert)
    expert.groups.add(*_groups("Experts"))
    about: dict[str, Any] = {"address": installation.address, "tls": installation.tls, "diary": diary}
    people: list[Person] = []
    for number in range(MEMBERS + 1):
        user = User.objects.create_user(email=f"m{number}@example.com")
        browser = Client()
        browser.force_login(user)
        name = settings.SESSION_COOKIE_NAME
        cookie = f"{name}={browser.cookies[name].value}"
        session = ChatSession.objects.create(clone=clone, user=user)
        if number == MEMBERS:
            people.append(Visitor(name="visitor", cookie=cookie, path="/chat/", **about))
        else:
            people.append(Member(name=f"member {number}", session_id=session.pk, cookie=cookie, **about))
    url = f"{installation.address}/api/clones/{clone.slug}/documents"
    token = ApiKey.issue(user=expert, name="laptop")[1]
    people.append(Expert(name="expert", url=url, token=token, padding=UPLOAD_BYTES, **about))
    return people


def _groups(name: str) -> Any:
    from django.contrib.auth.models import Group

    return Group.objects.filter(name=name)


def make_faults(
    installation: "Installation", provider: Any, disk: Path | None
) -> dict[str, Callable[[], None]]:
    """Each brings its trouble, waits, and mends it."""
    from django.conf import settings

    from cloneai.database import cluster, embedded, keeper
    from cloneai.tests.scaled_out.installation import WEB, WORKERS

    def stop_postgresql() -> None:
        keeper.stop_server(data_dir=settings.VAR_DIR / "postgres", pg_ctl=cluster.find_program("pg_ctl"))
        time.sleep(OUTAGE_SECONDS)
        embedded.attach(var_dir=settings.VAR_DIR)

    def stop_redis() -> None:
        installation.stop("redis")
        time.sleep(OUTAGE_SECONDS)
        installation.start("redis")

    def fail_provider() -> None:
        provider.failures = PROVIDER_FAILURES
        time.sleep(OUTAGE_SECONDS)
        provider.failures = 0.0

    def kill_one_of(names: Sequence[str]) -> Callable[[], None]:
        def kill() -> None:
            for number in range(KILLS):
                time.sleep(random.uniform(2, 6))
                name = names[number % len(names)]
                installation.kill(name)
                time.sleep(RESTART_SECONDS)
                installation.start(name)
            if names is WEB:
                installation.wait_until_ready(name)

        return kill

    def fill_disk() -> None:
        assert disk is not None
        with suppress_full(), (disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        time.sleep(OUTAGE_SECONDS / 2)
        (disk / "filler").unlink()

    faults: dict[str, Callable[[], None]] = {
        "calm": lambda: time.sleep(1),
        "postgresql": stop_postgresql,
        "redis": stop_redis,
        "provider": fail_provider,
        "web": kill_one_of(WEB),
        "worker": kill_one_of(WORKERS),
    }
    return faults | ({"disk": fill_disk} if disk else {})


@contextmanager
def suppress_full() -> Iterator[None]:
    try:
        yield
    except OSError:
        return


def judge(phases: Sequence[Phase], people: Sequence[Person]) -> Result:
    from django.core.management import CommandError, call_command

    from chat.models import Message, MessageStatus
    from knowledge.models import FINAL_STATUSES, Document, Status

    members = [person for person in people if isinstance(person, Member)]
    expert = next(person for person in people if isinstance(person, Expert))
    running = Message.objects.filter(status=MessageStatus.STREAMING)
    busy = Document.objects.exclude(status__in=FINAL_STATUSES)
    began = time.monotonic()
    while (running.exists() or busy.exists()) and time.monotonic() < began + END_SECONDS:
        time.sleep(1)
    lost = sum(count_lost(member) for member in members)
    stuck = busy.count() + running.count()
    missing = max(0, expert.taken + 1 - Document.objects.count())
    failed = list(Document.objects.filter(status=Status.FAILED).values_list("error_code", flat=True))
    output = io.StringIO()
    try:
        call_command("reconcile_costs", stdout=output)
        is_balanced = True
    except CommandError:
        is_balanced = False
    seen_otherwise = sum(phase.seen.answers["SHOWN OTHERWISE THAN SAVED"] for phase in phases)
    rows = [describe(phase, members) for phase in phases]
    asked = sum(len(member.confirmed) for member in members)
    unrecovered = [row[0] for row in rows if "never" in row]
    total = lost + stuck + missing + seen_otherwise + len(failed)
    return Result(
        name="faults",
        question="what do people notice when a part fails while they are at work, and is anything lost?",
        ratio=float(total),
        ratio_of="messages lost or stuck + documents lost, stuck or failed; 0",
        is_good=total == 0 and is_balanced and not unrecovered,
        columns=("", "answers", "other ends", "recovery s", "pages", "recovery s", "uploads", "recovery s"),
        rows=rows,
        notes=(
            f"{asked} questions, {sum(len(m.complete) for m in members)} answers read to their end: {lost} lost; "
            f"{expert.taken} uploads taken: {missing} lost, {len(failed)} failed {failed}; {stuck} stuck after "
            f"{time.monotonic() - began:.0f} s; reconcile_costs: {'0' if is_balanced else output.getvalue()}.",
            *(f"{phase.name}: {describe_ends(phase.seen)}" for phase in phases),
        ),
        figures={"lost": lost, "stuck": stuck, "is_balanced": is_balanced, "asked": asked},
    )


def count_lost(member: Member) -> int:
    """Questions that were confirmed and are not there, and answers that are not there as they were read."""
    from chat.models import Message, Role

    messages = Message.objects.filter(session=member.session_id)
    asked = {str(key) for key in messages.filter(role=Role.USER).values_list("client_message_id", flat=True)}
    kept = {str(pk): text for pk, text in messages.filter(role=Role.ASSISTANT).values_list("pk", "content")}
    return len(member.confirmed - asked) + sum(kept.get(pk) != text for pk, text in member.complete.items())


def describe(phase: Phase, members: Sequence[Member]) -> tuple[object, ...]:
    def recovery(kind: str, people: Sequence[str]) -> str:
        seconds = phase.recovery_seconds(kind, people)
        return "never" if seconds is None else f"{seconds:.1f}"

    answers, pages, uploads = phase.seen.answers, phase.seen.pages, phase.seen.uploads
    taken = uploads["202"] + uploads["409"]
    return (
        phase.name,
        answers["complete"],
        answers.total() - answers["complete"],
        recovery("answers", [member.name for member in members]),
        f"{pages['200']} of {pages.total()}",
        recovery("pages", ["visitor"]),
        f"{taken} of {uploads.total()}",
        recovery("uploads", ["expert"]),
    )


def describe_ends(seen: Seen) -> str:
    """What was not good, and how often."""
    parts = []
    for name, found, good in (
        ("answers", seen.answers, {"complete"}),
        ("pages", seen.pages, {"200"}),
        ("uploads", seen.uploads, {"202"}),
    ):
        parts += [f"{name}: {what} x{count}" for what, count in found.most_common() if what not in good]
    return "; ".join(parts) or "nothing but good"
