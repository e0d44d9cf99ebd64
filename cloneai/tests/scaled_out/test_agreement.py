"""Dockerfile, compose.yaml and the operation guide say what is tested: no container engine is needed to hold that."""

import re
import shlex
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class

from cloneai.tests.scaled_out.installation import COMPOSE, PORT_IN_CONTAINER, ROOT, WEB, WORKERS

SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
FINAL_STAGE = DOCKERFILE.split("\nFROM ")[-1].replace("\\\n", " ")
GUIDE = (ROOT / "docs" / "operations.md").read_text()
TEMPLATE = (ROOT / "deploy" / "nginx.conf.template").read_text()
OF_COMPOSE = {"POSTGRES_PASSWORD", "CERTIFICATES"}


def read_instruction(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", FINAL_STAGE, re.MULTILINE)


def list_guide_commands() -> list[str]:
    """Lines of the guide's shell blocks, and what it names in passing as `manage.py …`."""
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line] + re.findall(r"`(manage\.py [^`]+)`", GUIDE)


def test_the_image_runs_the_tested_web_process_as_nobody_special() -> None:
    (command,) = read_instruction("CMD")
    assert shlex.split(command.strip("[]").replace(",", " ")) == SERVICES["web-1"]["command"]
    assert read_instruction("USER") == ["cloneai"]
    assert "--system --uid" in FINAL_STAGE
    assert read_instruction("STOPSIGNAL") == ["SIGTERM"]  # what the rolling restart sends
    assert read_instruction("EXPOSE") == [PORT_IN_CONTAINER]
    assert f"127.0.0.1:{PORT_IN_CONTAINER}/healthz" in read_instruction("HEALTHCHECK")[0]


def test_what_must_last_lies_in_volumes() -> None:
    (folder,) = read_instruction("VOLUME")
    assert f"VAR_DIR={folder}" in FINAL_STAGE
    for name in (*WEB, *WORKERS, "migrate"):
        assert SERVICES[name]["volumes"] == [f"files:{folder}"], name
        told = SERVICES[name]["environment"]  # wins over a .env that was written for another set-up
        assert (told["VAR_DIR"], told["STORAGE_URL"], told["STATIC_ROOT"]) == (folder, "", ""), name
    named = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", ())}
    assert {name for name in named if not name.startswith((".", "$"))} == set(COMPOSE["volumes"])


def test_no_secret_and_no_test_gets_into_the_image() -> None:
    left_out = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".env", "var", "**/tests"} <= set(left_out)
    assert not re.search(r"(OPENAI_API_KEY|EMAIL_URL|METRICS_TOKEN)=\S", DOCKERFILE)


def test_the_processes_are_the_tested_ones() -> None:
    assert {"database", "redis", "migrate", "nginx", *WEB, *WORKERS} == set(SERVICES)
    assert "pgvector" in SERVICES["database"]["image"]
    assert all(SERVICES[name]["command"] == SERVICES["web-1"]["command"] for name in WEB)
    assert all(SERVICES[name]["command"][-1] == "qcluster" for name in WORKERS)
    waited_for = {name for service in SERVICES.values() for name in service.get("depends_on", ())}
    assert waited_for <= set(SERVICES)
    for name in WEB:
        drain = int(SERVICES[name]["environment"]["DRAIN_SECONDS"])
        assert drain < int(SERVICES[name]["stop_grace_period"].removesuffix("s"))


def test_variables_have_a_name_that_the_product_knows() -> None:
    documented = set(
        re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    )
    asked = set(SERVICES["web-1"]["environment"])
    assert asked <= documented, asked - documented
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    assert used <= documented | OF_COMPOSE, used - documented
    assert SERVICES["web-1"]["env_file"] == SERVICES["worker-1"]["env_file"] == ".env"
    assert set(re.findall(r"\$\{(\w+)\}", TEMPLATE)) == set(SERVICES["nginx"]["environment"])


@pytest.mark.parametrize("line", list_guide_commands())
def test_commands_of_the_guide_exist(line: str) -> None:
    words = shlex.split(line)
    if words[:2] == ["docker", "compose"]:
        named = {word for word in words if word in SERVICES}
        assert named or words[2] in {"build", "up"}, line
    if "manage.py" in words:
        name, *arguments = words[words.index("manage.py") + 1 :]
        apps = get_commands()
        assert name in apps, line
        command = load_command_class(apps[name], name)
        parser = command.create_parser("manage.py", name)
        known = {option for action in parser._actions for option in action.option_strings}
        assert {word.split("=")[0] for word in arguments if word.startswith("--")} <= known, line


def test_files_that_the_guide_names_are_there() -> None:
    for path in re.findall(r"`((?:deploy|docs|cloneai|knowledge)/[\w./-]+)`", GUIDE):
        assert (ROOT / path).exists() or path == "deploy/certificates/", path
