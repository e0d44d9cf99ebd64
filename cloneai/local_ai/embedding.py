"""Static sentence vectors by WordLlama, offline. Shapes: (texts, 256) float32, each row of length 1."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloneai.local_ai.catalogue import NATIVE_DIMENSIONS

Vectors = npt.NDArray[np.float32]

_model: Any = None
_model_lock = threading.Lock()


def load_model() -> Any:
    """Return the process's one WordLlama model, loading it (about 0.3 s) the first time; thread-safe."""
    global _model
    if _model is None:
        with _model_lock:
            if _model is None:
                # Its thread pool warns and stalls in processes that fork, as job workers do.
                os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
                wordllama = _import_wordllama()
                folder = Path(wordllama.__file__).parent
                _model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    return _model


def _import_wordllama() -> Any:
    """Import WordLlama and undo what its import does to logging: it gives the root logger a handler and a level."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    import wordllama  # late: only processes that really embed pay for it

    root.handlers[:] = handlers
    root.setLevel(level)
    return wordllama


def embed_texts(*, texts: Sequence[str]) -> Vectors:
    """Embed texts as (len(texts), 256) unit rows; finite and non-zero whatever the text."""
    if not texts:
        return np.zeros((0, NATIVE_DIMENSIONS), dtype=np.float32)
    model = load_model()
    # WordLlama pads each batch to its longest text: texts of like length go together.
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    vectors = np.empty((len(texts), NATIVE_DIMENSIONS), dtype=np.float32)
    vectors[order] = model.embed([texts[index] for index in order])
    norms = np.linalg.norm(vectors, axis=1)
    for index in np.flatnonzero(~np.isfinite(norms) | (norms < 1e-6)).tolist():
        vectors[index] = _hashed_vector(texts[index])
        norms[index] = np.linalg.norm(vectors[index])
    unit: Vectors = (vectors / norms[:, None]).astype(np.float32)
    return unit


def resize_vectors(*, vectors: Vectors, dimensions: int) -> Vectors:
    """Return unit rows of `dimensions` values.

    Shorter: cut and normalise again. Longer: rotated copies side by side, zeros at the end, scaled, which
    keeps every cosine similarity as it was.
    """
    native = vectors.shape[1]
    if dimensions <= native:
        cut = vectors[:, :dimensions]
        norms = np.linalg.norm(cut, axis=1, keepdims=True)
        shorter: Vectors = np.where(norms > 1e-6, cut / np.maximum(norms, 1e-6), dimensions**-0.5).astype(
            np.float32
        )
        return shorter
    copies = dimensions // native
    longer: Vectors = np.zeros((len(vectors), dimensions), dtype=np.float32)
    for copy in range(copies):
        longer[:, copy * native : (copy + 1) * native] = np.roll(vectors, copy, axis=1) / np.sqrt(copies)
    return longer


def _hashed_vector(text: str) -> Vectors:
    """Make a vector from the text's hash, for texts in which the model knows no token."""
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    drawn: Vectors = np.random.default_rng(seed).standard_normal(NATIVE_DIMENSIONS).astype(np.float32)
    return drawn
