"""How long do pages, lists and reports take over a million messages and cost records, and what do they read?

The addresses are those of `cloneai.tests.test_plans`, the rows those of `cloneai.tests.large_installation`. MESSAGES
(1000000) sets another number; writing a million takes two minutes. Each address is opened three times after a first.
"""

import os
import statistics
import time

from benchmarks.harness import Result, percentile

MESSAGES = int(os.environ.get("MESSAGES", "1000000"))
REPEATS = 3
PROMISED_SECONDS = 1.0


def run() -> Result:
    from django.conf import settings
    from django.db import connection
    from django.test import Client

    from cloneai.tests import test_plans
    from cloneai.tests.large_installation import Size, fill_installation
    from cloneai.tests.plans import explain, note_statements

    settings.ALLOWED_HOSTS, settings.STAFF_TOTP_REQUIRED = ["*"], False
    size = Size(messages=MESSAGES)
    started = time.perf_counter()
    installation = fill_installation(size)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    filling = time.perf_counter() - started
    visits = [
        *(("member", address) for address in test_plans.MEMBER_PAGES),
        *(("expert", address) for address in test_plans.EXPERT_PAGES),
        *(("reviewer", address) for address in test_plans.REVIEWER_PAGES),
        *(("admin", address) for address in (*test_plans.ADMIN_PAGES, *test_plans.find_changelists())),
        *test_plans.REPORTS,
        *test_plans.SEARCHES,
    ]
    rows, seconds = [], []
    for actor, address in visits:
        browser = Client()
        browser.force_login(getattr(installation, actor))
        place = address.format(session=installation.session_key)
        browser.get(place)
        times = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            response = browser.get(place)
            times.append(time.perf_counter() - began)
            assert response.status_code == 200, (place, response.status_code)
        with note_statements() as statements:
            browser.get(place)
        plans = [explain(sql, params) for sql, params in statements]
        table, most = max(
            (item for plan in plans for item in plan.rows_read.items()),
            key=lambda item: item[1],
            default=("", 0),
        )
        took = statistics.median(times)
        seconds.append(took)
        rows.append((actor, address, f"{took * 1000:.0f}", f"{most:,}", table, len(response.content) // 1024))
    rows.sort(key=lambda row: -int(row[2]))
    slowest = max(seconds)
    return Result(
        name="lists",
        question=f"how long do lists and reports take over {MESSAGES:,} messages and cost records?",
        ratio=slowest,
        ratio_of="seconds of the slowest page",
        is_good=slowest <= PROMISED_SECONDS,
        columns=("as", "page", "ms", "most rows read by a statement", "of", "KiB"),
        rows=rows,
        notes=(
            f"{len(visits)} pages: median {statistics.median(seconds) * 1000:.0f} ms, "
            f"p95 {percentile(seconds, 95) * 1000:.0f} ms. The rows took {filling:.0f} s to write.",
        ),
        figures={
            "seconds": {
                f"{actor} {address}": took for (actor, address), took in zip(visits, seconds, strict=True)
            }
        },
    )
