"""From a checkpoint to recommendations by raw item ids. Needs neither Hydra nor Lightning."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch_geometric.data import Batch

from srgnn.data.graphs import session_graph
from srgnn.data.sessions import Vocabulary
from srgnn.errors import UserError, check_int
from srgnn.nn.srgnn import SRGNN


@dataclass(frozen=True)
class Recommendations:
    """The most probable next items, best first; iterating gives (raw id, probability) pairs."""

    items: list[int | str]
    probabilities: list[float]
    titles: list[str | None] | None  # where the log came with a table of items
    skipped: list[int | str]  # clicks that the vocabulary does not know, in the order of the session

    def __iter__(self) -> Iterator[tuple[int | str, float]]:
        return iter(zip(self.items, self.probabilities, strict=True))

    def __len__(self) -> int:
        return len(self.items)


class Recommender:
    """A trained model together with the vocabulary that it was trained on.

    Example:
        >>> Recommender.load("outputs/.../best.ckpt").recommend(["A", "B", "A"], k=10)
    """

    def __init__(self, model: SRGNN, vocabulary: Vocabulary):
        self.model = model.eval()
        self.vocabulary = vocabulary
        self.titles = vocabulary.titles

    @classmethod
    def load(cls, checkpoint: str | Path) -> "Recommender":
        """The recommender of a checkpoint.

        Raises:
            UserError: when the file is missing or not a checkpoint of this project.
        """
        saved = load_checkpoint(checkpoint)
        about = saved["srgnn"]
        titles = about.get("titles")
        table = None if titles is None else pl.DataFrame({"title": titles}, schema={"title": pl.String})
        return cls(model_of(saved), Vocabulary(about["vocabulary"], table))

    @torch.inference_mode()
    def recommend(self, session: Sequence[int | str], k: int = 10) -> Recommendations:
        """The `k` most probable next items after the clicks of `session`, oldest first.

        Unknown ids are left out of the session and named in the result.

        Raises:
            UserError: when no id of the session is known, or `k` is larger than the catalogue.
        """
        check_int("k", k, 1, len(self.vocabulary))
        found = [self.vocabulary.index(raw) for raw in session]
        known = [index for index in found if index is not None]
        skipped = [raw for raw, index in zip(session, found, strict=True) if index is None]
        if not known:
            raise UserError(
                f"No item of the session is known ({', '.join(map(str, session)) or 'it is empty'}): the vocabulary "
                f"has {len(self.vocabulary):,} ids such as {', '.join(map(str, self.vocabulary.ids[:3]))}."
            )
        scores = self.model(Batch.from_data_list([session_graph(torch.tensor(known))]))
        top = scores.softmax(dim=-1).squeeze(0).topk(k)
        indices, titles = top.indices.tolist(), self.titles
        return Recommendations(
            [self.vocabulary.ids[i] for i in indices],
            top.values.tolist(),
            None if titles is None else [titles[i] for i in indices],
            skipped,
        )


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint without running anything of it.

    Raises:
        UserError: when the file is missing or not a checkpoint of this project.
    """
    if not Path(path).is_file():
        raise UserError(f"There is no checkpoint {path}: give the path of a .ckpt file.")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises many kinds for a file that is not its own
        raise UserError(f"{path} cannot be read as a checkpoint ({type(error).__name__}).") from error
    if not isinstance(saved, dict) or "srgnn" not in saved:
        raise UserError(f"{path} is not a checkpoint of this project: expected what python src/train.py wrote.")
    return saved


def model_of(saved: dict[str, Any]) -> SRGNN:
    """The trained model of what :func:`load_checkpoint` read."""
    with torch.device("meta"):
        model = SRGNN(**saved["srgnn"]["model"])
    weights = {name.removeprefix("model."): w for name, w in saved["state_dict"].items() if name.startswith("model.")}
    model.load_state_dict(weights, assign=True)
    return model
