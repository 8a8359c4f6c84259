"""A checkpoint as two programs that onnxruntime runs: clicks to session embeddings, and these to the best items.

The extra `serve` installs what it needs. :func:`srgnn.exporting.export_compiled` writes the file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srgnn.errors import UserError

LEAST = (
    96  # groups and items that are kept: with 64, the best 20 of one session in seven of a random model are unproven
)
PER_TOP = 4  # groups and items that are kept per item asked for
GROUP = 16  # items of which only the best is compared with others
SLOTS = 2**11  # clicks and padding of a batch: the layers encode larger ones, since they know no padding
NUMBERS = 2**23  # of the scores of a batch: 32 MB


@dataclass(frozen=True)
class CompiledModel:
    r"""The programs of a checkpoint. They run without Python's interpreter, for which the threads of a service wait.

    The search multiplies in 8 bits, and so reads a quarter of the memory. With :math:`\hat{\mathbf{s}}` and
    :math:`\hat{\mathbf{v}}` the embeddings of a session and of an item as it rounds them, their product is near the
    score:

    .. math::
        |\mathbf{s}^\top \mathbf{v} - \hat{\mathbf{s}}^\top \hat{\mathbf{v}}| \le
        \lVert\mathbf{s}\rVert \lVert\mathbf{v} - \hat{\mathbf{v}}\rVert
        + \lVert\mathbf{s} - \hat{\mathbf{s}}\rVert \lVert\hat{\mathbf{v}}\rVert

    More items than are asked for are scored in full. Where the last one asked for has a score that no other item can
    reach by this bound, the best items are proven to be the best.

    Args:
        encoder: Maps item indices, [B, L], with -1 for padding, to session embeddings, [B, d].
        search: Maps session embeddings to the best items, their scores, and a bound of the scores of all others; None
            where there are few items.
        rows: The item embeddings that sessions are multiplied with, [V, d].

    Example:
        >>> Recommender.load("model.ckpt", compiled="model.compiled").recommend(["A", "B"])
    """

    encoder: Any
    search: Any
    rows: NDArray[np.float32]

    @classmethod
    def load(cls, path: str | Path, fingerprint: str, rows: Tensor) -> "CompiledModel":
        """Reads the programs of the checkpoint with a fingerprint.

        Raises:
            UserError: if there is no file, it holds something else or belongs to another checkpoint, or onnxruntime is
                missing.
        """
        if not Path(path).is_file():
            raise UserError(
                f"There is no compiled model {path}: python src/export.py output={path} writes one.", "compiled"
            )
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            its_fingerprint, encoder, search = (saved[name] for name in ("fingerprint", "encoder", "search"))
        except Exception as error:  # torch raises many kinds of errors for a file that is not its own
            raise UserError(
                f"{path} is not a compiled model of this project ({type(error).__name__}): write it again.", "compiled"
            ) from error
        if its_fingerprint != fingerprint:
            raise UserError(f"{path} was compiled from another checkpoint: compile this one.", "compiled")
        return cls.start(encoder.numpy().tobytes(), None if search is None else search.numpy().tobytes(), rows)

    @classmethod
    def start(cls, encoder: bytes, search: bytes | None, rows: Tensor) -> "CompiledModel":
        """The programs, from their ONNX files.

        Raises:
            UserError: if onnxruntime is missing.
        """
        return cls(_start(encoder), None if search is None else _start(search), rows.numpy())

    def encode(self, clicks: NDArray[np.int64]) -> NDArray[np.float32]:
        """The embeddings of sessions of item indices, [B, L] -> [B, d]; -1 is padding."""
        session: NDArray[np.float32] = self.encoder.run(None, {"items": clicks})[0]
        return session

    def best(
        self, session: NDArray[np.float32], top: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]] | None:
        """The best items of session embeddings [B, d].

        Returns:
            items [B, top], scores [B, top], and whether they are proven to be the best, [B]; None if there are too few
            items for the search
        """
        count = max(LEAST, PER_TOP * top)
        if self.search is None or count > len(self.rows) // GROUP:
            return None
        numbers = {"count": np.array([count]), "top": np.array([top]), "rows": self.rows}
        size = max(1, NUMBERS // len(self.rows))
        parts = [session[first : first + size] for first in range(0, len(session), size)]
        found = [self.search.run(None, {"session": part, **numbers}) for part in parts]
        items, scores, bound = (np.concatenate(each) for each in zip(*found, strict=True))
        return items, scores, scores[:, -1] >= bound[:, 0]


def _start(program: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("A compiled model needs onnxruntime: pip install 'srgnn[serve]'.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores have other work
    return onnxruntime.InferenceSession(program, options, providers=["CPUExecutionProvider"])
