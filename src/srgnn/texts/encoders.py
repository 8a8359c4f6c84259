"""Encoders of texts: a model of sentence-transformers, or plain words."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from srgnn.errors import ArgumentError, UserError, check_int
from srgnn.texts.words import HashedWords


class Encoder(Protocol):
    """Maps texts to vectors of one width."""

    @property
    def identity(self) -> str:
        """A name that differs for encoders that give other vectors."""
        ...

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vectors of texts, [N, t]."""
        ...

    def too_long(self, texts: Sequence[str]) -> int:
        """Number of texts of which the encoder reads only the beginning."""
        ...


@dataclass(frozen=True)
class SentenceEncoder:
    """A model of sentence-transformers, which is loaded when the first text is encoded.

    Args:
        model: The folder of a model, or its name on the Hugging Face hub.
        device: `auto` for a GPU if there is one, `cpu`, `cuda` or `mps`.
        batch_size: Number of texts in a batch.

    Raises:
        ArgumentError: for a value that is not allowed, or a device that is not there.
    """

    model: str
    device: str = "auto"
    batch_size: int = 64

    def __post_init__(self) -> None:
        check_int("batch_size", self.batch_size, 1)
        devices = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available()}
        devices["mps"] = torch.backends.mps.is_available()
        if not devices.get(str(self.device).partition(":")[0]):
            present = ", ".join(name for name, is_there in devices.items() if is_there)
            raise ArgumentError("device", self.device, f"one of {present}, which this machine has")

    @cached_property
    def identity(self) -> str:
        """The name of the model; for a folder, the hash of its files."""
        folder = Path(self.model)
        if not folder.is_dir():
            return self.model
        known = hashlib.sha256()
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")):
            known.update(str(path.relative_to(folder)).encode())
            with path.open("rb") as file:
                known.update(hashlib.file_digest(file, "sha256").digest())
        return known.hexdigest()

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vectors of texts as the model gives them, [N, t].

        Raises:
            UserError: if the model cannot be loaded, or a batch does not fit the memory of the device.
        """
        try:
            vectors = self._loaded.encode(list(texts), batch_size=self.batch_size, show_progress_bar=False)
        except torch.OutOfMemoryError as error:
            smaller = max(1, self.batch_size // 4)
            raise UserError(
                f"A batch of {self.batch_size} texts does not fit the memory of the GPU: give batch_size={smaller}.",
                "batch_size",
            ) from error
        return np.asarray(vectors, np.float32)

    def too_long(self, texts: Sequence[str]) -> int:
        """Number of texts with more tokens than the model reads."""
        limit = self._loaded.max_seq_length
        # A token has at least one byte: most texts need no count.
        long = [text for text in texts if limit is not None and len(text.encode(errors="replace")) > limit - 2]
        tokens = self._loaded.tokenizer(long, truncation=False, verbose=False)["input_ids"] if long else []
        return sum(len(each) > limit for each in tokens)

    @cached_property
    def _loaded(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging
        except ImportError as error:
            text = f"model={self.model} needs sentence-transformers: pip install 'srgnn[text]', or take model=words."
            raise UserError(text, "model") from error
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # of the weights, in the midst of our own
        is_folder = Path(self.model).is_dir()
        device = None if self.device == "auto" else self.device
        try:
            return SentenceTransformer(self.model, device=device, local_files_only=is_folder).eval()
        except Exception as error:  # of several libraries below it
            reason = " ".join(str(error).split()).partition(". ")[0].rstrip(".")
            expected = (
                "a folder that sentence-transformers can load"
                if is_folder
                else "words, the folder of a model, or the name of one that is on this machine or can be downloaded"
            )
            raise ArgumentError("model", self.model, f"{expected} ({reason})") from error


def encoder_of(model: str, device: str = "auto", batch_size: int = 64) -> Encoder:
    """The encoder that a name stands for: `words` for :class:`~srgnn.texts.words.HashedWords`, else a model.

    Args:
        model, device, batch_size: Those of :class:`SentenceEncoder`.
    """
    return HashedWords() if model == "words" else SentenceEncoder(model, device, batch_size)
