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

VERSION = 1  # of the file
WRITE_NEW = "write a new one with python src/export.py output=FILE.compiled"
GROUP = 16  # items of which only the best is compared with others
# Groups and items that are kept: with 64, the best 20 of one session in seven of a random model were not proven.
LEAST_KEPT = 96
KEPT_PER_ITEM = 4  # that is asked for
KEPT_AT_ONCE = 2**11  # of all sessions of a batch: for more, all scores take less time and memory
SCORES_AT_ONCE = 2**23  # 32 MB
CLICKS_AT_ONCE = 2**11  # with their padding
INPUTS = {"encoder": {"items"}, "search": {"session", "rows", "count", "top"}}  # of the programs


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
    def load(cls, path: str | Path, fingerprint: str, rows: Tensor, with_search: bool = True) -> "CompiledModel":
        """Reads the programs of the checkpoint with a fingerprint.

        Args:
            path: The file.
            fingerprint: That of the checkpoint.
            rows: The item embeddings that sessions are multiplied with, [V, d].
            with_search: False leaves out the search, where an index takes its place.

        Raises:
            UserError: if there is no file, it holds something else or belongs to another checkpoint, or onnxruntime is
                missing or cannot run it.
        """
        if not Path(path).is_file():
            raise UserError(
                f"There is no compiled model {path}: python src/export.py output={path} writes one.", "compiled"
            )
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            version, compiled_from = saved["version"], saved["fingerprint"]
            encoder, search = (None if saved[key] is None else saved[key].numpy().tobytes() for key in INPUTS)
            assert encoder is not None
        except Exception as error:  # torch raises many kinds of errors for a file that is not its own
            raise UserError(
                f"{path} is not a compiled model of this project ({type(error).__name__}): {WRITE_NEW}.", "compiled"
            ) from error
        if version != VERSION:
            raise UserError(f"{path} was written by another version: {WRITE_NEW}.", "compiled")
        if compiled_from != fingerprint:
            raise UserError(f"{path} was compiled from another checkpoint: {WRITE_NEW}.", "compiled")
        return cls.start(encoder, search if with_search else None, rows, str(path))

    @classmethod
    def start(cls, encoder: bytes, search: bytes | None, rows: Tensor, name: str) -> "CompiledModel":
        """The programs, from the bytes of their ONNX files; `name` is that of the file that holds both.

        Raises:
            UserError: if onnxruntime is missing or cannot run them.
        """
        started = None if search is None else _start(search, INPUTS["search"], name)
        return cls(_start(encoder, INPUTS["encoder"], name), started, rows.numpy())

    def encode(self, clicks: NDArray[np.int64]) -> NDArray[np.float32]:
        """The embeddings of sessions of item indices, [B, L] -> [B, d]; -1 is padding."""
        session: NDArray[np.float32] = self.encoder.run(None, {"items": clicks})[0]
        return session

    def best(
        self, session: NDArray[np.float32], top: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]] | None:
        """The best items of session embeddings [B, d].

        Returns:
            items [B, top], scores [B, top], and whether they are proven to be the best, [B]; None where the search does
            not pay: for few items, many sessions, or a large `top`
        """
        kept = max(LEAST_KEPT, KEPT_PER_ITEM * top)
        is_small = len(session) * kept <= KEPT_AT_ONCE and len(session) * len(self.rows) <= SCORES_AT_ONCE
        if self.search is None or not is_small or kept > len(self.rows) // (2 * GROUP):
            return None
        inputs = {"session": session, "rows": self.rows, "count": np.array([kept]), "top": np.array([top])}
        items, scores, bound = self.search.run(None, inputs)
        return items, scores, (scores[:, -1] >= bound[:, 0]) & np.isfinite(scores[:, 0])


def _start(program: bytes, inputs: set[str], name: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("A compiled model needs onnxruntime: pip install 'srgnn[serve]'.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores have other work
    reason = "other inputs"
    try:
        session = onnxruntime.InferenceSession(program, options, providers=["CPUExecutionProvider"])
        if {each.name for each in session.get_inputs()} == inputs:
            return session
    except Exception as error:  # onnxruntime raises many kinds
        reason = type(error).__name__
    raise UserError(
        f"onnxruntime {onnxruntime.__version__} cannot run {name} ({reason}): install a newer one, or {WRITE_NEW}.",
        "compiled",
    )
