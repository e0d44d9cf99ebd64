"""A provider of embeddings only: the local model's vectors at any length, for whoever asks: `python -m
benchmarks.vector_provider`. A process of its own, so that its work is nobody's. Prints its port.

The same text always has the same vector, and only the first to ask for it waits for its making. Whoever asks for
anything else than vectors is refused at once.
"""

import asyncio
import base64
import json

from benchmarks.paced_provider import send_json, usage
from cloneai.local_ai.embedding import embed_texts, resize_vectors

CHARS_PER_TOKEN = 4
REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

_made: dict[tuple[str, int], str] = {}


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            body = json.loads(await reader.readexactly(length))
            if b"/embeddings" not in head.split(b"\r\n", 1)[0]:
                writer.write(REFUSAL)
            else:
                send_json(writer, await asyncio.to_thread(embed, body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def embed(body: dict) -> dict:
    """The client asks for base64 unless it is told otherwise, and all of them do."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    size = body.get("dimensions", 1536)
    if unknown := list({text for text in texts if (text, size) not in _made}):
        for text, vector in zip(
            unknown, resize_vectors(vectors=embed_texts(texts=unknown), dimensions=size), strict=True
        ):
            _made[text, size] = base64.b64encode(vector.astype("<f4").tobytes()).decode()
    data = [
        {"object": "embedding", "index": index, "embedding": _made[text, size]}
        for index, text in enumerate(texts)
    ]
    tokens = sum(map(len, texts)) // CHARS_PER_TOKEN + 1
    return {"object": "list", "model": body["model"], "data": data, "usage": usage(tokens, 0)}


async def serve() -> None:
    embed({"input": ["warm"], "model": ""})
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=64)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
