"""The product as `make run` starts it, in a folder of its own, and headless Chromium in front of it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cloneai.local_ai.testing import FakeProvider
from cloneai.tests.log_watch import find_forbidden

ROOT = Path(__file__).resolve().parents[3]
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
START_SECONDS = 120
expect.set_options(timeout=20_000)  # the machine may be busy with other things
PRINTED_MAILS = (
    "a one-time link",
    "an e-mail's text",
)  # without EMAIL_URL the console shows mails while developing
ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None and not os.environ.get("CI"):  # CI must not be green without a browser
                item.add_marker(
                    pytest.mark.skip(reason="Chromium is not installed; `make test` installs it as root.")
                )


class Product:
    """An installation in `var_dir`, with nothing but `variables` in its environment. It can be started again."""

    def __init__(self, *, var_dir: Path, **variables: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.var_dir = var_dir
        self.log_path = var_dir.parent / f"{var_dir.name}.log"
        self.environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        self.environment |= {"VAR_DIR": str(var_dir), "PORT": str(port), **variables}

    @property
    def password(self) -> str:
        return (self.var_dir / "demo-password").read_text().strip()

    def start(self) -> None:
        """Runs `manage.py serve --prepare` and waits until it is ready."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--prepare"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """As by Ctrl-C: SIGTERM."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)  # it finishes what it has begun

    def kill_web_process(self) -> None:
        """kill -9 of the web process, upon which its supervisor ends as well."""
        children = psutil.Process(self._process.pid).children()
        next(child for child in children if {"cloneai.web", "daphne"} & set(child.cmdline())).kill()
        self._process.wait(timeout=60)

    def manage(self, *arguments: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
        """Another `manage.py` command in this installation; `code` is what it reads from its input."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=code,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def run_code(self, code: str) -> Any:
        """Runs Python in this installation and returns what it printed, read as JSON."""
        done = self.manage("shell", "--no-imports", code=code)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):  # noqa: S310  (our own address)
                    return
            except OSError:
                time.sleep(0.2)
        pytest.fail(f"The product did not get ready:\n{self.log_path.read_text(errors='replace')[-3000:]}")


@contextmanager
def run_product(*, var_dir: Path, **variables: str) -> Iterator[Product]:
    """A running installation; in the end it is stopped, and neither its log nor its metrics tell what they must not."""
    product = Product(var_dir=var_dir, **variables)
    product.start()
    try:
        yield product
        with urllib.request.urlopen(f"{product.url}/metrics", timeout=10) as metrics:  # noqa: S310  (our own address)
            assert find_forbidden(metrics.read().decode()) == []
    finally:
        product.stop()
    told = find_forbidden(product.log_path.read_text(errors="replace"))
    assert [what for what in told if not what.startswith(PRINTED_MAILS)] == []


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """In offline mode."""
    with run_product(var_dir=tmp_path_factory.mktemp("offline") / "var") as running:
        yield running


@pytest.fixture(scope="session")
def http_provider() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


@pytest.fixture(autouse=True)
def own_script(request: pytest.FixtureRequest) -> None:
    """What one test told the provider to do does not reach the next."""
    if "http_provider" in request.fixturenames:
        request.getfixturevalue("http_provider").clear()


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


@pytest.fixture(scope="session")
def signed_in(browser: Browser) -> Callable[..., dict[str, Any]]:
    """`open_page(storage_state=signed_in(product, "member"))`: the login form is walked once for each account."""
    states: dict[tuple[str, str], Any] = {}

    def sign_in(product: Product, name: str) -> dict[str, Any]:
        if (product.url, name) not in states:
            context = browser.new_context()
            log_in(context.new_page(), product=product, email=f"{name}@example.com")
            states[product.url, name] = context.storage_state()
            context.close()
        return states[product.url, name]

    return sign_in


@pytest.fixture
def page(
    product_over_http: Product, open_page: Callable[..., Page], signed_in: Callable[..., dict[str, object]]
) -> Page:
    """A member in a new conversation, in the product over HTTP."""
    page = open_page(storage_state=signed_in(product_over_http, "member"))
    start_conversation(page, product=product_over_http)
    return page


def start_conversation(page: Page, *, product: Product, slug: str = "mara") -> str:
    """Opens a new conversation by the profile's button; returns its id."""
    page.goto(f"{product.url}/c/{slug}/")
    page.get_by_role("button", name=re.compile("start a conversation", re.IGNORECASE)).first.click()
    page.wait_for_url(re.compile(r"/chat/[0-9a-f-]{36}/"))
    return re.search(r"/chat/([0-9a-f-]{36})/", page.url)[1]  # type: ignore[index]


def ask(page: Page, question: str) -> None:
    page.fill("textarea[name=content]", question)
    page.keyboard.press("Enter")


def log_in(page: Page, *, product: Product, email: str) -> None:
    page.goto(f"{product.url}/accounts/login/")
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", product.password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login/" not in url)
