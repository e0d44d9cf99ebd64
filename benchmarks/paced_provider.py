"""A provider that answers like a real one, always at the same pace: `python -m benchmarks.paced_provider`.

Embeddings come after `EMBEDDING_SECONDS` (of the environment; 0) and all alike, so that every question finds passages;
a chat's first token comes after `FIRST_TOKEN_SECONDS`, then `TOKENS_PER_SECOND`. The last message may ask for others by
`tokens=100 pace=50`. A process of its own, so that its work is not counted as ours. Prints its port.
"""

import asyncio
import base64
import json
import os
import re
import struct

EMBEDDING_SECONDS = float(os.environ.get("EMBEDDING_SECONDS", "0"))
FIRST_TOKEN_SECONDS = 0.2
TOKENS_PER_SECOND = 50
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WORDS = (
    "one",
    "on",
    "one",
    "belongs",
    "to",
    "the",
    "other",
    "person",
    "and",
    "not",
    "to",
    "you",
    "so",
    "listen",
)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            body = json.loads(await reader.readexactly(length))
            if b"/embeddings" in head.split(b"\r\n", 1)[0]:
                await asyncio.sleep(EMBEDDING_SECONDS)
                send_json(writer, embed(body))
            elif body.get("stream"):
                await stream(writer, body)
            else:
                send_json(writer, complete(body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def embed(body: dict) -> dict:
    size = body.get("dimensions", 1536)
    inputs = [body["input"]] if isinstance(body["input"], str) else body["input"]
    is_packed = body.get("encoding_format") == "base64"
    data = []
    for index in range(len(inputs)):
        vector = [1.0, 0.001 * (index % 50)] + [0.0] * (size - 2)
        packed = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode() if is_packed else vector
        data.append({"object": "embedding", "index": index, "embedding": packed})
    return {"object": "list", "model": body["model"], "data": data, "usage": usage(len(inputs), 0)}


def complete(body: dict) -> dict:
    message = {"role": "assistant", "content": "One-on-ones"}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {**frame(body, "chat.completion"), "choices": [choice], "usage": usage(20, 3)}


async def stream(writer: asyncio.StreamWriter, body: dict) -> None:
    loop = asyncio.get_running_loop()
    question = json.dumps(body["messages"][-1])
    count, pace = (
        int(asked[-1]) if (asked := re.findall(rf"{name}=(\d+)", question)) else usual
        for name, usual in (("tokens", 100), ("pace", TOKENS_PER_SECOND))
    )
    begin = loop.time() + FIRST_TOKEN_SECONDS
    for number in range(count):
        await asyncio.sleep(begin + number / pace - loop.time())
        if writer.transport.is_closing():  # stopped, or its reader died
            raise ConnectionResetError
        if not number:
            writer.write(STREAM_HEAD)
        send_event(writer, body, {"content": token(number)})
    send_event(writer, body, {}, finish="stop")
    last = {**frame(body, "chat.completion.chunk"), "choices": [], "usage": usage(500, count)}
    send_chunk(writer, f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n")
    writer.write(b"0\r\n\r\n")


def token(number: int) -> str:
    """A paragraph of prose every 60 tokens; the first sentence of each names a source."""
    if number % 60 == 20:
        return " [1]."
    if number % 60 == 59:
        return ".\n\n"
    return f" {WORDS[number % len(WORDS)]}"


def send_event(writer: asyncio.StreamWriter, body: dict, delta: dict, finish: str | None = None) -> None:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    send_chunk(
        writer, f"data: {json.dumps({**frame(body, 'chat.completion.chunk'), 'choices': [choice]})}\n\n"
    )


def send_chunk(writer: asyncio.StreamWriter, text: str) -> None:
    writer.write(f"{len(text):x}\r\n{text}\r\n".encode())


def send_json(writer: asyncio.StreamWriter, found: dict) -> None:
    content = json.dumps(found).encode()
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
    )
    writer.write(content)


def frame(body: dict, kind: str) -> dict:
    return {"id": "c1", "object": kind, "created": 1, "model": body["model"]}


def usage(prompt: int, completion: int) -> dict:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


async def serve() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
