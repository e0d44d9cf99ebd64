"""What every benchmark shares: a database of its own, a table, a JSON line, the machine.

`run_all` starts each benchmark as a process with a new VAR_DIR in a temporary folder: its embedded PostgreSQL is
migrated, used and thrown away, and nothing of the checkout's own `var/` is touched. A benchmark is a module with
`run() -> Result`. Figures of one run may be compared with each other, not with those of another machine or hour:
what counts is the ratio.
"""

import importlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
LATEST = FOLDER / "results" / "latest.json"
NOT_BENCHMARKS = {
    "__init__",
    "__main__",
    "corpora",
    "bare_consumer",
    "chat_clients",
    "fault_members",
    "chat_costs",
    "harness",
    "ingestion_setup",
    "load_people",
    "plots",
    "paced_provider",
    "vector_provider",
    "zero_latency",
}
STOP_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Result:
    """`ratio` is the answer, `ratio_of` says of what; `is_good` whether it is what the product promises."""

    name: str
    question: str
    ratio: float
    ratio_of: str
    is_good: bool
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    notes: Sequence[str] = ()
    figures: dict[str, Any] = field(default_factory=dict)


def list_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in NOT_BENCHMARKS)


def run_all(names: Sequence[str]) -> int:
    """Runs the benchmarks one after the other; returns how many failed or broke a promise."""
    failed = 0
    for name in names:
        found = run_in_own_process(name)
        if found is None or not found["is_good"]:
            failed += 1
        if found is not None:
            keep(found)
    return failed


def run_in_own_process(name: str) -> dict[str, Any] | None:
    """Shows what the benchmark prints and returns its JSON line, None when it came to none."""
    var_dir = Path(tempfile.mkdtemp(prefix="cloneai-bench-"))
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "DATABASE_"))},
        "VAR_DIR": str(var_dir),
        "DJANGO_SETTINGS_MODULE": "cloneai.settings",
        "DATABASE_POOL": "true",
        "REDIS_URL": "",
        "OPENBLAS_NUM_THREADS": "1",  # where numpy is compared with, it has one thread
    }
    found = None
    try:
        command = [sys.executable, "-m", "benchmarks.harness", name]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, cwd=FOLDER.parent
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                print(line, end="", flush=True)
                if line.startswith('{"benchmark"'):
                    found = json.loads(line)
        return found if child.returncode == 0 else None
    finally:
        throw_away(var_dir)


def throw_away(var_dir: Path) -> None:
    """Deletes the folder when its server, which stops after its last user, is gone."""
    give_up_at = time.monotonic() + STOP_SECONDS
    while (var_dir / "postgres" / "postmaster.pid").exists() and time.monotonic() < give_up_at:
        time.sleep(0.1)
    shutil.rmtree(var_dir, ignore_errors=True)


def prepare() -> None:
    """Sets Django up and migrates the new database."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def show(result: Result) -> None:
    """The table, and one line of JSON."""
    print(f"\n{result.name}: {result.question}\n")
    cells = [[str(cell) for cell in row] for row in (result.columns, *result.rows)]
    widths = [max(len(row[number]) for row in cells) for number in range(len(result.columns))]
    for number, row in enumerate(cells):
        first, *others = zip(row, widths, strict=True)
        print("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]))
        if number == 0:
            print("  ".join("-" * width for width in widths))
    for note in result.notes:
        print(f"* {note}")
    print(
        f"\n{result.ratio_of}: {result.ratio:.2f}  ({'as promised' if result.is_good else 'NOT as promised'})"
    )
    values = asdict(result)
    line = {"benchmark": values.pop("name"), **values, "machine": describe_machine()}
    print(json.dumps(line, default=str), flush=True)


def describe_machine() -> dict[str, Any]:
    """`load` is the load average of the last minute when the benchmark ended."""
    return {
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgresql": _postgresql_version(),
        "load": round(os.getloadavg()[0], 1),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def keep(found: dict[str, Any]) -> None:
    """Puts the result in the place of the benchmark's last one in results/latest.json."""
    known = json.loads(LATEST.read_text()) if LATEST.exists() else []
    others = [result for result in known if result["benchmark"] != found["benchmark"]]
    LATEST.parent.mkdir(exist_ok=True)
    everything = sorted([*others, found], key=lambda result: result["benchmark"])
    LATEST.write_text(json.dumps(everything, indent=2) + "\n")


def percentile(values: Sequence[float], percent: int) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def _postgresql_version() -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0])


def main(name: str) -> None:
    prepare()
    show(importlib.import_module(f"benchmarks.{name}").run())


if __name__ == "__main__":
    main(sys.argv[1])
