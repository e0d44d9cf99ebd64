"""Schemathesis over the OpenAPI document, against a running web process, with a member's and an expert's key.

A small run is part of the suite; `make fuzz` makes a long one of all phases (EXAMPLES=… for each operation and key).
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat.tests.live import run_web
from cloneai.accounts.models import ApiKey
from cloneai.tests.permissions.world import EXPERT, MEMBER, World, build_world, find_leaks, marker

IS_LONG = "EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("EXAMPLES", "4"))
PHASES = "examples,coverage,fuzzing,stateful" if IS_LONG else "examples,fuzzing"
# Not asked for: that what fits the schema is accepted. Slugs may be in use, sessions ended, days the wrong way round.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,"
    "allow_header_conformance,use_after_free,ignored_auth"
)
# Where keys of both houses are put in, so that requests get further than to "not found".
PLACES = {
    "path.slug": "clone", "path.document_id": "document", "path.session_id": "session", "path.message_id": "answer",
    "body.clone": "clone", "body.session_id": "session",
}  # fmt: skip


@pytest.fixture
def world(transactional_db: None, tmp_path: Path, settings: Any) -> World:
    settings.EXPORTS_ROOT = tmp_path / "exports"
    return build_world()


@pytest.fixture(scope="module")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address and log of one web process for all tests."""
    folder = tmp_path_factory.mktemp("web")
    log_path = folder / "daphne.log"
    variables = {"API_REQUESTS_PER_MINUTE": "1000000", "STORAGE_URL": f"file://{folder / 'media'}"}
    with run_web(log_path=log_path, **variables) as url:
        yield url, log_path


def write_configuration(world: World, path: Path) -> None:
    lines = ["[output.sanitization]", "enabled = false"]
    for kind in sorted(set(PLACES.values())):
        values = json.dumps([world.key(kind, house) for house in ("a", "b", "missing")])
        lines += [f"[dictionaries.{kind}]", f"values = {values}"]
    lines.append("[parameters]")
    lines += [f'"{place}" = {{ dictionary = "{kind}", probability = 0.8 }}' for place, kind in PLACES.items()]
    # The fields of a form are text whatever is sent, so what Schemathesis takes for a wrong type is a right value.
    lines += [
        "[[operations]]",
        'include-name = "POST /api/clones/{slug}/documents"',
        'generation.mode = "positive"',
    ]
    path.write_text("\n".join(lines))


@pytest.mark.parametrize("actor", [MEMBER, EXPERT])
def test_nothing_breaks_contradicts_the_document_or_shows_what_is_foreign(
    actor: str, world: World, web: tuple[str, Path], tmp_path: Path
):
    address, log_path = web
    _key, token = ApiKey.issue(user=world.people[actor], name="schemathesis")
    write_configuration(world, tmp_path / "schemathesis.toml")
    before = world.fingerprint()
    done = subprocess.run(
        [
            Path(sys.executable).with_name("st"), "run", f"{address}/api/openapi.json",
            "--header", f"Authorization: Bearer {token}", "--checks", CHECKS,
            "--phases", PHASES, "--max-examples", str(EXAMPLES), "--continue-on-failure", "--request-timeout", "30",
            "--workers", "2", "--warnings", "off",
            "--report", "vcr", "--report-vcr-path", str(tmp_path / "answers.yaml"),
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300 + 20 * EXAMPLES,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "120"},
    )  # fmt: skip
    log = log_path.read_text()
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}\n{log[-3000:]}"
    answers = (tmp_path / "answers.yaml").read_text()
    assert marker("clone", "a") in answers, "not even their own clone was seen"
    assert find_leaks(actor=actor, payload=answers) == []
    assert world.fingerprint()["b"] == before["b"], "a foreign house was changed"
    assert "Traceback" not in log
