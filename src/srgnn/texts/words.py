"""Hashed words: vectors of texts without any model, the baseline of a language model."""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

WORD = re.compile(r"\w+")
WIDTH = 256  # some thousand words share a place with few others


class HashedWords:
    """Encoder that adds up a place and a sign for each word of a text (Weinberger et al., 2009).

    Texts are near each other if they share words, and nothing else is known about these: not that `lamp` and `light`
    are alike, nor which word matters. Words are runs of letters and digits in lower case. Vectors have the length 1,
    or 0 without any word.
    """

    identity = "words"
    width = WIDTH

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vectors of texts, [N, 256]."""
        vectors = np.zeros((len(texts), WIDTH), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for place, sign in map(_place, WORD.findall(text.lower())):
                vector[place] += sign
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return vectors

    def too_long(self, texts: Sequence[str]) -> int:
        """0: texts of any length are read to their end."""
        return 0


@lru_cache(2**16)  # a catalogue may have millions of words
def _place(word: str) -> tuple[int, int]:
    """The place and the sign of a word, the same on every machine."""
    number = int.from_bytes(hashlib.blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
    return number // 2 % WIDTH, 1 - 2 * (number % 2)
