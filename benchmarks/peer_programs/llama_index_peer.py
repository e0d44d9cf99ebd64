"""LlamaIndex's side of `benchmarks.peers`; runs in the peers' virtual environment, knows nothing of the product.

Reads an order (JSON) from standard input and answers with one line of JSON. SentenceSplitter and OpenAIEmbedding in one
IngestionPipeline, into a PGVectorStore; the default table, whose search is exact.
"""

import json
import sys
import time
from pathlib import Path
from urllib.parse import quote

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.vector_stores.postgres import PGVectorStore

LARGEST_BATCH = 2048  # OpenAIEmbedding's own limit; its default of 100 would ask more often


def run(order: dict) -> dict:
    embedding = OpenAIEmbedding(
        model=order["model"],
        dimensions=order["dimensions"],
        api_key="sk-bench",
        api_base=order["provider"],
        embed_batch_size=order["embed_batch"],
    )
    place = f"/{order['database']}?host={quote(order['host'], safe='')}&user={order['user']}"
    store = PGVectorStore(
        connection_string=f"postgresql+psycopg2://{place}",
        async_connection_string=f"postgresql+asyncpg://{place}",
        table_name="peers",
        embed_dim=order["dimensions"],
    )
    if order["task"] == "ingest":
        return ingest(order, embedding, store)
    return retrieve(order, embedding, store)


def ingest(order: dict, embedding: OpenAIEmbedding, store: PGVectorStore) -> dict:
    splitter = SentenceSplitter(chunk_size=order["chunk_tokens"], chunk_overlap=order["overlap_tokens"])
    steps = [splitter, embedding]
    IngestionPipeline(transformations=steps, disable_cache=True).run(documents=read(order))  # warms all up
    pipeline = IngestionPipeline(transformations=steps, vector_store=store)
    started = time.perf_counter()
    nodes = pipeline.run(documents=read(order))
    return {"seconds": time.perf_counter() - started, "passages": len(nodes)}


def read(order: dict) -> list[Document]:
    files = sorted(Path(order["folder"]).iterdir())
    return [Document(text=path.read_text(), metadata={"file": path.name}) for path in files]


def retrieve(order: dict, embedding: OpenAIEmbedding, store: PGVectorStore) -> dict:
    index = VectorStoreIndex.from_vector_store(store, embed_model=embedding)
    retriever = index.as_retriever(similarity_top_k=order["limit"])
    seconds, found = [], []
    for question in order["questions"] * 2:
        started = time.perf_counter()
        nodes = retriever.retrieve(question)
        seconds.append(time.perf_counter() - started)
        found.append([(node.metadata["file"], node.get_content(metadata_mode="none")) for node in nodes])
    half = len(order["questions"])  # the first time all of it is warmed up
    return {"seconds": seconds[half:], "found": found[half:]}


print(json.dumps(run(json.load(sys.stdin))))
