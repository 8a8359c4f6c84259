"""A model as one function of item indices, with its session graphs built inside, and its check."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.nn import Module
from torch_geometric.data import Batch

from srgnn.contracts import Model, TrainableModel
from srgnn.data.graphs import whole_sessions
from srgnn.data.sessions import Sessions
from srgnn.errors import UserError, check_int
from srgnn.exporting.graphs import PaddedGraphs
from srgnn.exporting.tracing import Traceable

SHAPES = [
    (1, 1),
    (1, 12),
    (4, 1),
    (2, 5),
    (9, 7),
    (3, 30),
    (2, 200),
]  # sessions and clicks of the batches that are compared
POOL = 6  # items that one batch is drawn from: few, so that items are clicked again
TOLERANCE = 1e-4  # of float32 sums in another order, as a share of the largest score

Outputs = tuple[Tensor, ...]


def check_exportable(model: Model, name: str) -> TrainableModel:
    """The model, if it has weights that a program can hold.

    Raises:
        UserError: if it counts instead.
    """
    if not hasattr(model, "item_embedding"):
        raise UserError(f"{name} looks up counts instead of multiplying weights: export a model that is trained.")
    return cast(TrainableModel, model)


def frozen(model: TrainableModel) -> TrainableModel:
    """A model as it is exported, in evaluation mode and with a plain table of items; it is the same object."""
    model.item_embedding = model.item_embedding.merged()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()


class ScoringProgram(Module):
    """Scores of all items for sessions of item indices, or the best `k` items with their scores.

    Entries of -1, which stand for padding or an unknown item, are skipped wherever they are. All scores of a session
    without any other entry are 0.

    Args:
        model: The model; it is put into evaluation mode.
        k: Number of best items; None returns all scores.

    Shapes:
        items [B, L], int64 -> scores [B, V], or items [B, k] and scores [B, k], best first

    Raises:
        ArgumentError: if `k` is not a number of items.
    """

    norm: Tensor | None

    def __init__(self, model: TrainableModel, k: int | None = None):
        super().__init__()
        self.model = frozen(model)
        self.num_items = model.item_embedding.num_embeddings
        self.k = None if k is None else check_int("k", k, 1, self.num_items)
        self.register_buffer("norm", model.item_embedding.norm(model.item_embedding.weight))

    def forward(self, items: Tensor) -> Outputs:
        with Traceable():
            is_empty = (items < 0).all(dim=1, keepdim=True)  # [B, 1]
            batch = cast(Batch, PaddedGraphs.of(torch.where(is_empty, 0, items)))
            if self.model.in_products:
                session = self.model.session_embedding(batch)[:-1]  # [B, d]
                scores = session @ self.model.item_embedding.weight.T  # [B, V]
                scores = scores if self.norm is None else scores / self.norm
            else:
                scores = self.model.scores_of(batch, torch.arange(self.num_items))[:-1]
            scores = scores.masked_fill(is_empty, 0)
            if self.k is None:
                return (scores,)
            best = scores.topk(self.k)
            return best.indices, best.values


def trace(program: Module) -> ExportedProgram:
    """Records a program for any number of sessions and of clicks."""
    example = random_items(cast(int, program.num_items), 3, 5)
    sizes = ({0: Dim("batch", min=1), 1: Dim("clicks", min=1)},)
    with quiet(), torch.no_grad():
        return torch.export.export(program, (example,), dynamic_shapes=sizes)


@contextmanager
def quiet() -> Iterator[None]:
    """Hides what the exporters say about their own internals."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "torch.fx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def random_items(num_items: int, num_sessions: int, num_clicks: int) -> Tensor:
    """Sessions of 1 to `num_clicks` random items from a few, of which one has all clicks, [B, L]; -1 pads them."""
    lengths = torch.randint(1, num_clicks + 1, (num_sessions, 1))
    lengths[0] = num_clicks
    pool = torch.randint(num_items, (POOL,))
    items = pool[torch.randint(POOL, (num_sessions, num_clicks))]
    return items.where(torch.arange(num_clicks) < lengths, -1)


@torch.inference_mode()
def check(run: Callable[[Tensor], Outputs], model: Model, num_items: int, k: int | None, what: str) -> float:
    """Compares a program with its model on random sessions of several numbers and lengths.

    Args:
        run: The program.
        model: The model, as it is used everywhere else.
        num_items: Number of items.
        k: Number of best items that the program returns; None for all scores.
        what: Description of the program for the error message.

    Returns:
        The largest difference of a score, as a share of the largest score.

    Raises:
        UserError: if a score differs by more than rounding.
    """
    worst = 0.0
    for num_sessions, num_clicks in SHAPES:
        items = random_items(num_items, num_sessions, num_clicks)
        sessions = Sessions.from_lists([each[each >= 0].tolist() for each in items])
        graphs = whole_sessions(sessions, num_items)
        expected = model(graphs[graphs.first[:-1]])  # [B, V]
        *best, scores = run(items)
        pairs = [(scores, expected)]
        if k is not None:
            pairs = [(scores, expected.topk(k).values), (scores, expected.gather(1, best[0]))]
        for found, right in pairs:
            fits = found.shape == right.shape and bool(found.isfinite().all())
            difference = float((found - right).abs().max() / expected.abs().max()) if fits else float("inf")
            worst = max(worst, difference)
            if not difference <= TOLERANCE:
                raise UserError(
                    f"{what} does not give the scores of the model for {num_sessions} sessions of {num_clicks} clicks "
                    f"(difference {difference:.1e}), so it was not kept: use the checkpoint itself."
                )
    return worst
