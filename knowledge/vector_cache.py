"""Vectors of short texts that searches meet again and again, kept in this process: words, sentences of passages.

Only for models that cost nothing to ask and little to keep; vectors are float32 rows of the model's length.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from billing.metering import Payer, embed_texts
from billing.models import Purpose
from knowledge.embedding import EmbeddingModel

Vectors = npt.NDArray[np.float32]

MAX_TEXTS = 40_000  # 40 MB of 256-dimensional vectors
MAX_INPUTS = 2048  # of one request

_known: dict[tuple[EmbeddingModel, str], Vectors] = {}


async def embed_short_texts(*, texts: Sequence[str], model: EmbeddingModel, payer: Payer) -> Vectors:
    """One row a text, in order. Metered requests for those not known yet. Raises MeteredCallError."""
    rows = {text: _known.get((model, text)) for text in texts}
    unknown = [text for text, row in rows.items() if row is None]
    for start in range(0, len(unknown), MAX_INPUTS):
        batch = unknown[start : start + MAX_INPUTS]
        result = await embed_texts(
            payer=payer,
            purpose=Purpose.QUERY_EMBEDDING,
            texts=batch,
            model=model.name,
            dimensions=model.dimensions,
        )
        rows.update(zip(batch, result.vectors, strict=True))
    if len(_known) + len(unknown) > MAX_TEXTS:
        _known.clear()
    _known.update({(model, text): row for text, row in rows.items() if row is not None})
    return np.array([rows[text] for text in texts], dtype=np.float32).reshape(len(texts), -1)


def forget_all() -> None:
    """For tests: the next search asks the provider again."""
    _known.clear()
