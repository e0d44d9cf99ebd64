"""The product as `make run` starts it, in a folder of its own, and headless Chromium in front of it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cloneai.local_ai.testing import FakeProvider

ROOT = Path(__file__).resolve().parents[3]
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
START_SECONDS = 120
expect.set_options(timeout=20_000)  # the machine may be busy with other things
ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None and not os.environ.get("CI"):  # CI must not be green without a browser
                item.add_marker(
                    pytest.mark.skip(reason="Chromium is not installed; `make test` installs it as root.")
                )


@dataclass(frozen=True, slots=True)
class Product:
    """A running installation. `environment` starts another `manage.py` command in it."""

    url: str
    var_dir: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def password(self) -> str:
        return (self.var_dir / "demo-password").read_text().strip()

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )


@contextmanager
def run_product(*, var_dir: Path, **variables: str) -> Iterator[Product]:
    """Starts `manage.py serve --prepare` with nothing but `variables` in its environment; stops it by SIGTERM."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    environment |= {"VAR_DIR": str(var_dir), "PORT": str(port), **variables}
    log_path = var_dir.parent / f"{var_dir.name}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--prepare"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url=url, process=process, log_path=log_path)
            yield Product(url=url, var_dir=var_dir, environment=environment, process=process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def _wait_until_ready(*, url: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):  # noqa: S310  (our own address)
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"The product did not get ready:\n{log_path.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """In offline mode."""
    with run_product(var_dir=tmp_path_factory.mktemp("offline") / "var") as running:
        yield running


@pytest.fixture(scope="session")
def http_provider() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


@pytest.fixture(scope="session")
def product_over_http(
    tmp_path_factory: pytest.TempPathFactory, http_provider: FakeProvider
) -> Iterator[Product]:
    """With OPENAI_BASE_URL pointed at a server of OpenAI's format."""
    with run_product(
        var_dir=tmp_path_factory.mktemp("http") / "var",
        OPENAI_API_KEY="sk-test-secret",
        OPENAI_BASE_URL=http_provider.base_url,
    ) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`open_page(**context options)`; the test fails when a page met a script error or broke its own CSP."""
    contexts, problems = [], []

    def listen(page: Page) -> None:
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))

    def make(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(20_000)
        contexts.append(context)
        context.on("page", listen)
        return context.new_page()

    make.problems = problems  # type: ignore[attr-defined]
    yield make
    for context in contexts:
        context.close()
    assert [text for text in problems if "WebSocket" not in text and "ERR_" not in text] == []


def log_in(page: Page, *, product: Product, email: str) -> None:
    page.goto(f"{product.url}/accounts/login/")
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", product.password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login/" not in url)
