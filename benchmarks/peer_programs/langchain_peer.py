"""LangChain's side of `benchmarks.peers`; runs in the peers' virtual environment, knows nothing of the product.

Reads an order (JSON) from standard input and answers with one line of JSON. RecursiveCharacterTextSplitter by tiktoken,
OpenAIEmbeddings, and the PGVectorStore of langchain-postgres; the default table, whose search is exact.
"""

import json
import sys
import time
from pathlib import Path
from urllib.parse import quote

from langchain_core.documents import Document
from langchain_openai import OpenAIEmbeddings
from langchain_postgres import PGEngine, PGVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter

TABLE = "langchain_peers"


def run(order: dict) -> dict:
    embedding = OpenAIEmbeddings(
        model=order["model"],
        dimensions=order["dimensions"],
        api_key="sk-bench",
        base_url=order["provider"],
        chunk_size=order["embed_batch"],
        check_embedding_ctx_length=False,  # every passage is short enough, so it need not count tokens again
    )
    place = f"/{order['database']}?host={quote(order['host'], safe='')}&user={order['user']}"
    engine = PGEngine.from_connection_string(f"postgresql+psycopg://{place}")
    if order["task"] == "ingest":
        return ingest(order, embedding, engine)
    return retrieve(order, embedding, engine)


def ingest(order: dict, embedding: OpenAIEmbeddings, engine: PGEngine) -> dict:
    engine.init_vectorstore_table(table_name=TABLE, vector_size=order["dimensions"])
    store = PGVectorStore.create_sync(engine, embedding_service=embedding, table_name=TABLE)
    splitter = RecursiveCharacterTextSplitter.from_tiktoken_encoder(
        encoding_name="cl100k_base",
        chunk_size=order["chunk_tokens"],
        chunk_overlap=order["overlap_tokens"],
    )
    embedding.embed_documents(
        [one.page_content for one in splitter.split_documents(read(order))]
    )  # warms all up
    started = time.perf_counter()
    passages = splitter.split_documents(read(order))
    store.add_documents(passages)
    return {"seconds": time.perf_counter() - started, "passages": len(passages)}


def read(order: dict) -> list[Document]:
    files = sorted(Path(order["folder"]).iterdir())
    return [Document(page_content=path.read_text(), metadata={"file": path.name}) for path in files]


def retrieve(order: dict, embedding: OpenAIEmbeddings, engine: PGEngine) -> dict:
    store = PGVectorStore.create_sync(engine, embedding_service=embedding, table_name=TABLE)
    seconds, found = [], []
    for question in order["questions"] * 2:
        started = time.perf_counter()
        passages = store.similarity_search(question, k=order["limit"])
        seconds.append(time.perf_counter() - started)
        found.append([(passage.metadata["file"], passage.page_content) for passage in passages])
    half = len(order["questions"])  # the first time all of it is warmed up
    return {"seconds": seconds[half:], "found": found[half:]}


print(json.dumps(run(json.load(sys.stdin))))
