"""No list and no report reads a large table from end to end, whatever the installation has gathered.

Every statement of every page is explained with its actual rows, over 100,000 messages and as many cost records, which
PostgreSQL makes in some seconds; `make bench NAME=lists` does the same over a million and prints the times. Counts are
bounded at 500 instead of 10,000 here, so that one page of a bounded list and a scan of a table are far apart.
"""

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from billing.ledger import settle_abandoned
from billing.tasks import warn_about_limits
from chat.settling import settle_idle_sessions
from chat.tasks import interrupt_stale
from cloneai.accounts import admin_lists
from cloneai.metrics import measure_product
from cloneai.tests.large_installation import Installation, Size, fill_installation
from cloneai.tests.plans import Plan, explain, note_statements
from knowledge.tasks import sweep

SIZE = Size(messages=100_000)
MOST_COUNTED, MOST_READ = 500, 3_000
PERIOD_READ = 30_000  # reports read their period: a month, and the one before, of a year's rows
ONE_PASS = 1.1
PASSES = {"chat_gapquestion": 3.1}  # how many people asked, how often, and when last

QUEUE = "/admin/chat/sessionsummary/"
MEMBER_PAGES = (
    "/", "/c/clone-1/", "/chat/", "/chat/?q=meeting", "/chat/{session}/", "/account/data/", "/account/memory/",
    "/account/api-keys/", "/api/clones", "/api/chat/sessions", "/api/chat/sessions/{session}", "/api/billing/costs",
    "/api/memory",
)  # fmt: skip
EXPERT_PAGES = (
    "/admin/", QUEUE, "/admin/chat/knowledgegap/", "/admin/knowledge/document/", "/admin/billing/costrecord/",
    "/admin/clones/clone/", "/api/clones/clone-1/documents",
)  # fmt: skip
REVIEWER_PAGES = (
    "/admin/", QUEUE, "/admin/chat/chatsession/", "/admin/chat/chatsession/?clone=1000900",
    "/admin/chat/chatsession/?ended=1", "/admin/billing/costrecord/", "/admin/billing/costrecord/?model=gpt-4.1",
    "/admin/billing/costrecord/?outcome__exact=failed",
)  # fmt: skip
ADMIN_PAGES = (
    "/admin/accounts/auditentry/?kind=clone", "/admin/accounts/auditentry/?action=clone.change",
    "/admin/accounts/auditentry/?actor=1000001", "/admin/knowledge/document/?status__exact=failed",
    *(f"/admin/knowledge/document/?look={look}" for look in ("any", "failed", "hard_to_find", "near_copy", "warnings")),
)  # fmt: skip
REPORTS = (
    ("expert", QUEUE + "insights/"), ("reviewer", QUEUE + "insights/"),
    ("expert", "/admin/billing/costrecord/report/"), ("reviewer", "/admin/billing/costrecord/report/?group_by=user"),
    ("reviewer", "/admin/billing/costrecord/report/?group_by=model"), ("reviewer", "/api/billing/costs?group_by=clone"),
    ("reviewer", "/admin/billing/costrecord/performance/"), ("reviewer", "/api/billing/metrics"),
)  # fmt: skip
SEARCHES = (
    ("reviewer", "/admin/chat/chatsession/?q=word77"), ("admin", "/admin/accounts/user/?q=person77"),
    ("admin", "/admin/knowledge/document/?q=document"), ("admin", "/admin/accounts/auditentry/?q=clone:7"),
    ("reviewer", QUEUE + "?q=meeting"), ("reviewer", QUEUE + "?flag=distress"), ("reviewer", QUEUE + "?flag=any"),
    ("reviewer", QUEUE + "?cost=0.10"), ("reviewer", QUEUE + "?quality=poor"), ("reviewer", QUEUE + "?feedback=bad"),
    ("reviewer", QUEUE + "?assigned=me"),
)  # fmt: skip
# Read once from end to end, and why that is no matter. A table of which a page reads this much is read once, not more.
READ_ONCE = {
    "chat_sessionsummary": "the queue's numbers on top, from an index alone",
    "chat_gapquestion": "gaps are ordered by how many people asked; flags look for unanswered questions",
    "chat_knowledgegap": "one gap for many questions",
    "chat_message": "those of unanswered questions; at this size one pass is cheaper than the index",
    "accounts_user": "joined in one pass; a fortieth of the messages",
}
READERS_OF_ALL = (QUEUE, "/admin/chat/knowledgegap/", "/admin/accounts/apikey/")
SHORT = ("clones_clone", "accounts_user_groups")  # looked up for each row, by their keys
LARGEST = ("chat_message", "chat_citation", "billing_costrecord", "billing_reservation")


@pytest.fixture(scope="module")
def installation(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[Installation]:
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        try:
            yield fill_installation(SIZE)
        finally:
            call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(autouse=True)
def _bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_lists, "MOST_COUNTED", MOST_COUNTED)


def plans_of(installation: Installation, actor: str, address: str) -> list[Plan]:
    """The plans of the second visit: the first one fills caches."""
    browser = Client()
    browser.force_login(getattr(installation, actor))
    address = address.format(session=installation.session_key)
    for _visit in range(2):
        with note_statements() as statements:
            response = browser.get(address)
        assert response.status_code == 200, f"{address}: {response.status_code}"
    return [explain(sql, params) for sql, params in statements]


def find_excess(plans: list[Plan], *, most: int, once: frozenset[str] = frozenset()) -> list[str]:
    """What was read beyond the bound, in words."""
    found = []
    for plan in plans:
        for table, rows in plan.rows_read.items():
            if table in SHORT:
                continue
            bound = (
                max(most, round(count_rows(table) * PASSES.get(table, ONE_PASS))) if table in once else most
            )
            if rows > bound:
                found.append(f"{rows} rows of {table} by {plan.sql[:300]}")
    return found


def count_rows(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{table}"')  # noqa: S608
        return int(cursor.fetchone()[0])


def find_changelists() -> list[str]:
    return [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("address", MEMBER_PAGES)
def test_pages_of_a_member_read_the_member_s_own(installation: Installation, address: str) -> None:
    assert not find_excess(plans_of(installation, "member", address), most=MOST_READ)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("actor", "address"),
    [
        *(("expert", address) for address in EXPERT_PAGES),
        *(("reviewer", address) for address in REVIEWER_PAGES),
        *(("admin", address) for address in ADMIN_PAGES),
    ],
)
def test_lists_read_a_page_and_not_the_table(installation: Installation, actor: str, address: str) -> None:
    once = (
        frozenset(READ_ONCE)
        if address in READERS_OF_ALL
        else frozenset({"chat_knowledgegap", "chat_gapquestion"})
    )
    excess = find_excess(plans_of(installation, actor, address), most=MOST_READ, once=once)
    assert not excess, "\n".join(excess)


@pytest.mark.django_db
def test_every_list_of_the_admin_reads_a_page_and_not_the_table(installation: Installation) -> None:
    excess = []
    for address in [*find_changelists(), "/admin/"]:
        once = (
            frozenset(READ_ONCE)
            if address in READERS_OF_ALL
            else frozenset({"chat_knowledgegap", "chat_gapquestion"})
        )
        excess += find_excess(plans_of(installation, "admin", address), most=MOST_READ, once=once)
    assert not excess, "\n".join(excess)


@pytest.mark.django_db
@pytest.mark.parametrize(("actor", "address"), REPORTS)
def test_reports_read_their_period_and_not_the_table(
    installation: Installation, actor: str, address: str
) -> None:
    excess = find_excess(plans_of(installation, actor, address), most=PERIOD_READ)
    assert not excess, "\n".join(excess)


@pytest.mark.django_db
@pytest.mark.parametrize(("actor", "address"), SEARCHES)
def test_searches_read_no_long_table_twice(installation: Installation, actor: str, address: str) -> None:
    """They look through titles and addresses, but never through what was said, nor through a table for each row."""
    plans = plans_of(installation, actor, address)
    tables = {table for plan in plans for table in plan.rows_read}
    tables -= set() if address.startswith(QUEUE) else set(LARGEST)
    excess = find_excess(plans, most=MOST_READ, once=frozenset(tables))
    assert not excess, "\n".join(excess)


@pytest.mark.django_db
def test_the_filter_by_cost_sums_the_ledger_from_an_index_alone(installation: Installation) -> None:
    with connection.cursor() as cursor:
        # It is the cheaper way only once VACUUM has been through, and other transactions may hold that up.
        cursor.execute("SET LOCAL enable_seqscan = off")
    plans = plans_of(installation, "reviewer", QUEUE + "?cost=0.10")
    sums = [plan for plan in plans if plan.rows_read.get("billing_costrecord", 0) >= SIZE.messages]
    assert sums
    assert all("billing_costrecord" in plan.told_by_index for plan in sums)


@pytest.mark.django_db
def test_scans_by_the_clock_read_what_is_due(installation: Installation) -> None:
    for scan in (
        settle_idle_sessions,
        settle_abandoned,
        interrupt_stale,
        sweep,
        warn_about_limits,
        measure_product,
    ):
        with note_statements() as statements:
            scan()
        once = frozenset({"knowledge_document"} if scan is measure_product else ())  # counts them by status
        excess = find_excess([explain(sql, params) for sql, params in statements], most=MOST_READ, once=once)
        assert not excess, f"{scan.__name__}: {excess}"


@pytest.mark.django_db
def test_plans_would_tell_of_a_missing_index(installation: Installation) -> None:
    """The bounds are no formality: without its index the list of conversations is read and sorted whole."""
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX session_by_activity")
    plans = plans_of(installation, "reviewer", "/admin/chat/chatsession/")
    assert find_excess(plans, most=MOST_READ)
