"""The official clients of OpenAI, Python and JavaScript, unchanged, against a running web process."""

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings

from billing.models import CostRecord, Outcome, Purpose
from chat.tests.live import run_web
from cloneai.accounts.models import ApiKey, User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from clones.models import Clone
from conftest import PROVIDER_KEY, use_provider
from knowledge.models import Document

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "How long does the pepper soup simmer?"
ASK: Any = [{"role": "user", "content": QUESTION}]
SLOW = Fault(path="/chat/completions", chunk_delay_seconds=0.5)
JS = Path(__file__).parent / "js"


@pytest.fixture(scope="module")
def live_provider() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


@pytest.fixture(scope="module")
def address(
    live_provider: FakeProvider, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with run_web(
        log_path=tmp_path_factory.mktemp("web") / "daphne.log",
        OPENAI_API_KEY=PROVIDER_KEY,
        OPENAI_BASE_URL=live_provider.base_url,
        GPT_4_MODEL="gpt-4.1",
        GPT_4_MINI_MODEL="gpt-4o-mini",
    ) as url:
        yield f"{url}/v1"


@pytest.fixture
def provider(live_provider: FakeProvider, settings: Any) -> FakeProvider:
    """The test's own process uses the same provider as the web process."""
    live_provider.clear()
    use_provider(settings, live_provider)
    return live_provider


@pytest.fixture
def token(member: User) -> str:
    return ApiKey.issue(user=member, name="laptop")[1]


@pytest.fixture
def client(address: str, token: str, provider: FakeProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=address, api_key=token, max_retries=0) as client:
        yield client


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_models_are_the_clones_that_the_key_opens(
    client: openai.OpenAI, clone: Clone, other_clone: Clone
) -> None:
    assert [model.id for model in client.models.list()] == ["ada"]
    assert client.models.retrieve("ada").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("bo")


def test_completion_answers_from_the_material_with_citations_and_usage(
    client: openai.OpenAI, member: User, clone: Clone, material: Document
) -> None:
    completion = client.chat.completions.create(model="ada", messages=ASK)
    choice = completion.choices[0]
    assert completion.object == "chat.completion"
    assert completion.model == "ada"
    assert "twenty-five minutes" in (choice.message.content or "")
    assert choice.finish_reason == "stop"
    [citation] = completion.model_extra["citations"]
    assert f"[{citation['number']}]" in (choice.message.content or "")
    assert citation["document_id"] == str(material.pk)
    assert "Simmer it for twenty-five minutes." in citation["quote"]
    record = CostRecord.objects.get(purpose=Purpose.CHAT)
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (
        record.input_tokens,
        record.output_tokens,
    )
    assert (record.user_id, record.clone_id) == (member.pk, clone.pk)
    assert ApiKey.objects.get().last_used_at is not None


@pytest.mark.parametrize("include_usage", [True, False])
def test_stream_is_the_same_answer_in_pieces(
    include_usage: bool, client: openai.OpenAI, material: Document
) -> None:
    whole = client.chat.completions.create(model="ada", messages=ASK)
    chunks = list(
        client.chat.completions.create(
            model="ada", messages=ASK, stream=True, stream_options={"include_usage": include_usage}
        )
    )
    pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert len([piece for piece in pieces if piece]) > 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert chunks[-1].model_extra["citations"] == whole.model_extra["citations"]
    assert [chunk.usage for chunk in chunks if chunk.usage] == ([whole.usage] if include_usage else [])
    assert [bool(chunk.choices) for chunk in chunks][-1] is not include_usage


async def test_async_client_streams_with_the_stream_helper(
    address: str, token: str, provider: FakeProvider, material: Document
) -> None:
    async with (
        openai.AsyncOpenAI(base_url=address, api_key=token, max_retries=0) as client,
        client.chat.completions.stream(model="ada", messages=ASK) as stream,
    ):
        completion = await stream.get_final_completion()
    assert "twenty-five minutes" in (completion.choices[0].message.content or "")


def test_wrong_and_revoked_keys_are_refused(
    client: openai.OpenAI, address: str, token: str, clone: Clone
) -> None:
    with pytest.raises(openai.AuthenticationError) as refusal:
        client.with_options(api_key="cak_wrong").chat.completions.create(model="ada", messages=ASK)
    assert refusal.value.code == "invalid_api_key"
    ApiKey.objects.update(revoked_at="2026-01-01T00:00Z")
    with pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_key_without_the_chat_scope_is_refused(client: openai.OpenAI, member: User, clone: Clone) -> None:
    _key, token = ApiKey.issue(user=member, name="accounting", scopes=["billing"])
    with pytest.raises(openai.PermissionDeniedError, match="“chat”") as refusal:
        client.with_options(api_key=token).models.list()
    assert refusal.value.code == "missing_scope"


@pytest.mark.parametrize("slug", ["bo", "nobody"])
def test_foreign_and_missing_clones_are_the_same_404(
    slug: str, client: openai.OpenAI, other_clone: Clone
) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        client.chat.completions.create(model=slug, messages=ASK)
    assert refusal.value.code == "model_not_found"
    assert refusal.value.body == {
        "message": f"The model `{slug}` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


@pytest.mark.parametrize("stream", [True, False])
def test_exhausted_budget_is_429_until_midnight_and_asks_no_provider(
    stream: bool, client: openai.OpenAI, member: User, material: Document, provider: FakeProvider
) -> None:
    User.objects.filter(pk=member.pk).update(daily_cost_limit_usd=Decimal("0.0000001"))
    asked_before = len(provider.requests)
    with pytest.raises(openai.RateLimitError) as refusal:
        client.with_options(max_retries=2).chat.completions.create(model="ada", messages=ASK, stream=stream)
    assert refusal.value.code == "insufficient_quota"
    assert 0 < int(refusal.value.response.headers["Retry-After"]) <= 86_400
    assert len(provider.requests) == asked_before


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (
            Fault(path="/chat/completions", status=429, headers={"retry-after": "0"}),
            429,
            "rate_limit_exceeded",
        ),
        (Fault(path="/chat/completions", status=401), 503, "service_unavailable"),
        (Fault(path="/chat/completions", status=400), 502, "provider_error"),
    ],
)
def test_faults_of_the_provider_have_openais_format_and_tell_no_secret(
    fault: Fault, status: int, code: str, client: openai.OpenAI, material: Document, provider: FakeProvider
) -> None:
    provider.always(fault)
    with pytest.raises(openai.APIStatusError) as refusal:
        client.with_options(max_retries=2).chat.completions.create(model="ada", messages=ASK)
    assert (refusal.value.status_code, refusal.value.code) == (status, code)
    assert ("Retry-After" in refusal.value.response.headers) == (status == 429)
    assert "sk-test-secret" not in refusal.value.response.text
    assert CostRecord.objects.filter(purpose=Purpose.CHAT).count() == 1


def test_stream_that_breaks_raises_in_the_client_after_what_was_said(
    client: openai.OpenAI, material: Document, provider: FakeProvider
) -> None:
    provider.next(Fault(path="/chat/completions", reset_after_chunks=4))
    said: list[openai.types.chat.ChatCompletionChunk] = []
    stream = client.chat.completions.create(model="ada", messages=ASK, stream=True)
    with pytest.raises(openai.APIError, match="Connection error"):
        said.extend(stream)
    assert any(chunk.choices[0].delta.content for chunk in said)


def test_too_long_a_question_names_the_context_length(client: openai.OpenAI, clone: Clone) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        client.chat.completions.create(model="ada", messages=[{"role": "user", "content": "word " * 20_000}])
    assert refusal.value.code == "context_length_exceeded"


def test_closing_a_stream_stops_the_provider_and_charges_for_what_came(
    client: openai.OpenAI, material: Document, provider: FakeProvider
) -> None:
    provider.next(SLOW)
    stream = client.chat.completions.create(model="ada", messages=ASK, stream=True)
    next(chunk for chunk in stream if chunk.choices[0].delta.content)
    stream.close()
    assert wait_for(CostRecord.objects.filter(purpose=Purpose.CHAT, outcome=Outcome.STOPPED).exists)
    assert wait_for(lambda: provider.disconnects == 1)
    assert CostRecord.objects.get(purpose=Purpose.CHAT).cost_usd > 0


async def test_leaving_before_the_whole_answer_stops_the_provider(
    address: str, token: str, provider: FakeProvider, material: Document
) -> None:
    provider.next(SLOW)
    async with openai.AsyncOpenAI(base_url=address, api_key=token, max_retries=0) as client:
        asked = asyncio.create_task(client.chat.completions.create(model="ada", messages=ASK))
        assert await asyncio.to_thread(wait_for, lambda: provider.requests_to("/chat/completions"))
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    stopped = CostRecord.objects.filter(purpose=Purpose.CHAT, outcome=Outcome.STOPPED)
    assert await sync_to_async(wait_for)(stopped.exists)
    assert await asyncio.to_thread(wait_for, lambda: provider.disconnects == 1)


@pytest.fixture(scope="module")
def js_client() -> Path:
    """The client's folder with its packages, kept between runs. Skips where they cannot be had."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm and node are not installed, so the JavaScript client cannot be tried")
    folder = django_settings.VAR_DIR / "test-js-client"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc", "client.mjs"):
        shutil.copy(JS / name, folder / name)
    installed = folder / "node_modules" / "openai" / "package.json"
    wanted = json.loads((JS / "package.json").read_text())["dependencies"]["openai"]
    if not installed.exists() or json.loads(installed.read_text())["version"] != wanted:
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            give_up = (
                pytest.fail if os.environ.get("CI") else pytest.skip
            )  # at home one may be without a network
            give_up(f"npm could not install the JavaScript client: {done.stderr.strip()[-200:]}")
    return folder


def test_javascript_client_lists_answers_streams_and_raises(
    js_client: Path, address: str, token: str, provider: FakeProvider, material: Document, stranger: User
) -> None:
    User.objects.filter(pk=stranger.pk).update(daily_cost_limit_usd=Decimal("0.0000001"))
    done = subprocess.run(
        ["node", "client.mjs"],
        cwd=js_client,
        env={
            "PATH": os.environ["PATH"],
            "BASE_URL": address,
            "API_KEY": token,
            "SPENT_KEY": ApiKey.issue(user=stranger, name="spent")[1],
            "SLUG": "ada",
            "QUESTION": QUESTION,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["models"] == ["ada"]
    assert seen["model"] == "ada"
    assert "twenty-five minutes" in seen["whole"]["text"]
    assert seen["whole"]["usage"]["total_tokens"] > 0
    assert seen["whole"]["citations"][0]["title"] == "Notes"
    assert seen["stream"]["text"] == seen["whole"]["text"]
    assert seen["stream"]["chunks"] > 3
    assert seen["stream"]["finish_reason"] == "stop"
    assert seen["stream"]["usage"] == seen["whole"]["usage"]
    assert seen["stream"]["citations"] == seen["whole"]["citations"]
    refusals = {
        name: (seen[name]["name"], seen[name]["status"], seen[name]["code"])
        for name in ("bad_key", "no_model", "too_long", "two_choices", "spent")
    }
    assert refusals == {
        "bad_key": ("AuthenticationError", 401, "invalid_api_key"),
        "no_model": ("NotFoundError", 404, "model_not_found"),
        "too_long": ("BadRequestError", 400, "context_length_exceeded"),
        "two_choices": ("BadRequestError", 400, "unsupported_value"),
        "spent": ("RateLimitError", 429, "insufficient_quota"),
    }
    assert 0 < int(seen["spent"]["retry_after"]) <= 86_400
    assert 0 < seen["left"]["chunks"] < seen["stream"]["chunks"]


def test_javascript_lock_file_names_no_registry() -> None:
    assert "resolved" not in (JS / "package-lock.json").read_text()
