"""Answers: whole, streamed, or shaped by a schema."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import openai
import pydantic
from django.conf import settings

from billing.calls import CallTrace, ChatMessage
from billing.errors import AnswerRefused, AnswerUnusable, RequestRejected, StreamFault
from billing.gateway.client import Endpoint, call_deadline, read_timeout, send, shared_client
from billing.gateway.failures import UNREADABLE, read_usage

MAX_ANSWER_CHARS = 1_000_000
# Tokens of a text have four characters on average; long rules and runs of blanks have more.
MAX_CHARS_PER_TOKEN, FREE_CHARS = 20, 1000
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Parameters that some models or servers refuse, and that a request can do without or name otherwise.
ADAPTABLE = frozenset({"temperature", "max_tokens", "max_completion_tokens"})

_refused: dict[tuple[Endpoint, str], set[str]] = {}


async def request_chat(
    *,
    model: str,
    messages: Sequence[ChatMessage],
    max_output_tokens: int,
    temperature: float,
    trace: CallTrace,
    schema: type[pydantic.BaseModel] | None = None,
) -> str:
    """The whole answer's text; with `schema`, JSON that the provider was told to shape so."""
    shape: dict[str, Any] = {} if schema is None else {"response_format": _response_format(schema)}
    completion: Any = await _send_chat(
        trace=trace,
        deadline=call_deadline(),
        model=model,
        messages=[{"role": message.role, "content": message.content} for message in messages],
        length=max_output_tokens,
        temperature=temperature,
        **shape,
        timeout=read_timeout(read_seconds=settings.AI_READ_TIMEOUT_SECONDS),
    )
    try:
        trace.usage = read_usage(completion.usage)
        choice = completion.choices[0]
        content, refusal = choice.message.content, choice.message.refusal
        trace.finish_reason = str(choice.finish_reason or "")
        trace.pieces.append(_read_text(content or refusal))
    except UNREADABLE as error:
        raise AnswerUnusable(f"The answer is not a completion: {type(error).__name__}.") from None
    if schema is not None and refusal:
        raise AnswerRefused("The model declined to answer in the schema.")
    _check_answer(trace, longest_chars=_longest_chars(max_output_tokens))
    if schema is not None and trace.finish_reason == "length":
        raise AnswerUnusable("The structured answer was cut off at its longest length.")
    return trace.text


async def stream_chat(
    *,
    model: str,
    messages: Sequence[ChatMessage],
    max_output_tokens: int,
    temperature: float,
    trace: CallTrace,
) -> AsyncGenerator[str, None]:
    """The answer's pieces as they come. Closing it early closes the connection.

    The client decodes the events and gives them as they are: building its models of them takes four times as long as
    all else that it does, and what we want of an event is read with suspicion anyway.
    """
    deadline = call_deadline()
    response: Any = await _send_chat(
        trace=trace,
        deadline=deadline,
        model=model,
        messages=[{"role": message.role, "content": message.content} for message in messages],
        length=max_output_tokens,
        temperature=temperature,
        stream=True,
        stream_options={"include_usage": True},
        timeout=read_timeout(read_seconds=settings.AI_STALL_TIMEOUT_SECONDS),
        is_raw=True,
    )
    stream = response.parse(to=openai.AsyncStream[object])
    chars, longest_chars = 0, _longest_chars(max_output_tokens)
    try:
        while (piece := await _next_piece(stream=stream, trace=trace, deadline=deadline)) is not None:
            if not piece:
                continue
            trace.add_piece(piece)
            chars += len(piece)
            if chars > longest_chars:
                raise StreamFault(fault="oversized", detail=f"More than {longest_chars} characters came.")
            yield piece
    finally:
        await stream.close()
    if not trace.finish_reason:
        raise StreamFault(fault="unfinished", detail="It ended without a finish reason.")
    _check_answer(trace, longest_chars=longest_chars)


async def _next_piece(*, stream: openai.AsyncStream[Any], trace: CallTrace, deadline: float) -> str | None:
    """The next chunk's text, empty when it has none; None at the stream's end.

    After the finish reason only figures can come: an answer is not lost because these are.
    """
    try:
        async with asyncio.timeout_at(deadline):
            chunk = await anext(stream, None)
        if chunk is None:
            return None
        trace.usage = read_usage(chunk.get("usage")) or trace.usage
        if not (choices := chunk.get("choices")):
            return ""
        choice = choices[0]
        trace.finish_reason = str(choice.get("finish_reason") or "") or trace.finish_reason
        delta = choice["delta"]
        return _read_text(delta.get("content") or delta.get("refusal"))
    except (
        openai.APIConnectionError,
        TimeoutError,
    ) as error:  # the client's own timeout is one of the former
        if trace.finish_reason:
            return None
        is_late = isinstance(error, openai.APITimeoutError | TimeoutError)
        raise StreamFault(fault="stalled" if is_late else "broken") from None
    except (openai.OpenAIError, *UNREADABLE) as error:
        raise StreamFault(fault="garbled", detail=type(error).__name__) from None


def _read_text(content: object) -> str:
    """What the model wrote, without what no database stores. Raises TypeError when it is no text."""
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError(type(content).__name__)
    return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", content)


def _longest_chars(max_output_tokens: int) -> int:
    """More characters than these tokens can be expected to make: the provider does not keep to what was asked."""
    return min(MAX_ANSWER_CHARS, FREE_CHARS + MAX_CHARS_PER_TOKEN * max_output_tokens)


def _check_answer(trace: CallTrace, *, longest_chars: int) -> None:
    """Raises when a finished answer is of no use to anybody."""
    if trace.text.strip():
        if len(trace.text) > longest_chars:
            raise AnswerUnusable(f"The answer has more than {longest_chars} characters.")
        return
    if trace.finish_reason == "content_filter":
        raise AnswerRefused("The provider's content filter withheld the answer.")
    raise AnswerUnusable(f"The answer is empty (finish reason {trace.finish_reason or 'missing'}).")


async def _send_chat(
    *,
    trace: CallTrace,
    deadline: float,
    model: str,
    length: int,
    temperature: float,
    is_raw: bool = False,
    **parameters: Any,
) -> Any:
    """One chat request, with what this model is known to refuse left out; `is_raw` gives its response unread.

    OpenAI's newer models want `max_completion_tokens` and no temperature; most compatible servers know
    `max_tokens` only, and would ignore the other and answer without end. So OpenAI gets the new name and
    others the old one, and a refusal that names one of these parameters is remembered for the process and
    the request sent once more.
    """
    client, endpoint = await shared_client(), Endpoint.configured()
    completions: Any = client.chat.completions.with_raw_response if is_raw else client.chat.completions
    refused = _refused.setdefault((endpoint, model), set())
    while True:
        is_new_name = "api.openai.com" in endpoint.base_url
        if {"max_tokens", "max_completion_tokens"} & refused:
            is_new_name = "max_tokens" in refused
        adapted = {"max_completion_tokens" if is_new_name else "max_tokens": length}
        if "temperature" not in refused:
            adapted["temperature"] = temperature  # type: ignore[assignment]

        async def create(adapted: dict[str, Any] = adapted) -> Any:
            return await completions.create(model=model, **adapted, **parameters)

        try:
            return await send(trace=trace, deadline=deadline, request=create)
        except RequestRejected as error:
            if error.refused_parameter not in ADAPTABLE - refused:
                raise
            refused.add(error.refused_parameter)


def _response_format(schema: type[pydantic.BaseModel]) -> dict[str, Any]:
    """The schema in the strict form that structured outputs ask for."""
    strict = openai.pydantic_function_tool(schema)["function"]["parameters"]
    return {"type": "json_schema", "json_schema": {"name": schema.__name__, "strict": True, "schema": strict}}
