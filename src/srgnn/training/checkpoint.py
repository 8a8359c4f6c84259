"""Checkpoints: self-contained files that load without running code from them. Needs neither Lightning nor Hydra."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any

import polars as pl
import torch
from torch import Tensor

from srgnn.contracts import TrainableModel
from srgnn.data.sessions import Vocabulary
from srgnn.errors import UserError
from srgnn.nn import MODELS
from srgnn.saving import whole_file

KEY = "srgnn"  # of the record in the file, beside Lightning's own entries


@dataclass(frozen=True)
class CheckpointRecord:
    """The description that a checkpoint carries of itself, in plain values.

    Args:
        model: Arguments of the model, with `num_items`.
        vocabulary: Raw item ids by index, [V].
        titles: Item titles by index, [V]; None if the log had no table of items.
        data: Manifest of the data that the model was trained on.
        config: Configuration of the run.
        stage: `select`, `refit` or `paper`, see :mod:`srgnn.training.protocols`.
        history: Metrics of every evaluated epoch, as fractions, with `epoch` counted from 1.
        versions: Versions of Python and of the libraries that matter.
        chosen: The chosen entry of `history`; None until one is chosen.
        architecture: Name of the model in :data:`srgnn.nn.MODELS`.
    """

    model: dict[str, Any]
    vocabulary: list[int | str]
    titles: list[str | None] | None = None
    data: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    stage: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    chosen: dict[str, Any] | None = None
    architecture: str = "SR-GNN"  # the only model when checkpoints did not name it yet

    def plain(self) -> dict[str, Any]:
        """The record as a dictionary, which `torch.load(..., weights_only=True)` reads."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "CheckpointRecord":
        """The record of a dictionary; entries that this version does not know are ignored.

        Raises:
            TypeError: if the model or the vocabulary is missing.
        """
        return cls(**{each.name: values[each.name] for each in fields(cls) if each.name in values})


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: its record, and the weights of its model by name."""

    record: CheckpointRecord
    weights: dict[str, Tensor]

    @classmethod
    def load(cls, path: str | Path) -> "Checkpoint":
        """Reads a checkpoint; the weights stay in the file until they are used.

        Raises:
            UserError: if the file is missing, damaged or not a checkpoint of this project.
        """
        if not Path(path).is_file():
            raise UserError(f"There is no checkpoint {path}: give the path of a .ckpt file.")
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # torch raises many kinds of errors for a file that is not its own
            raise UserError(f"{path} cannot be read as a checkpoint ({type(error).__name__}).") from error
        try:
            record = CheckpointRecord.from_plain(saved[KEY])
            state = saved["state_dict"]
        except (KeyError, TypeError) as error:
            raise UserError(f"{path} is not a checkpoint of this project: expected one of a training run.") from error
        prefix = "model."  # the name of the model within the LightningModule
        return cls(record, {name.removeprefix(prefix): w for name, w in state.items() if name.startswith(prefix)})

    def build_model(self) -> TrainableModel:
        """The trained model, in evaluation mode.

        Raises:
            UserError: if this version does not have that model, or a weight is not a finite number.
        """
        name = self.record.architecture
        if name not in MODELS:
            raise UserError(f"The checkpoint holds the model {name}; this version has {', '.join(MODELS)}.")
        arguments = dict(self.record.model)
        num_items = arguments.pop("num_items")
        with torch.device("meta"):  # the weights are used straight from the file, without a second copy
            model = MODELS[name](**arguments).build(num_items)
        broken = [key for key, weight in self.weights.items() if not weight.isfinite().all()]
        if broken:
            raise UserError(
                f"The checkpoint holds weights that are not finite numbers ({', '.join(broken)}): its training "
                "diverged; train again with a smaller lr=, or use an earlier checkpoint.",
                "lr",
            )
        model.load_state_dict(self.weights, assign=True)
        return model.eval()

    @property
    def vocabulary(self) -> Vocabulary:
        """The item ids, and titles where there are any."""
        titles = self.record.titles
        table = None if titles is None else pl.DataFrame({"title": titles}, schema={"title": pl.String})
        return Vocabulary(self.record.vocabulary, table)


def save(content: Mapping[str, Any], path: Path) -> None:
    """Writes the content of a checkpoint straight to its file, without a copy in memory, whole or not at all.

    Raises:
        UserError: if the system refuses to write.
    """
    with whole_file(path, "the checkpoint", "folder") as temporary, temporary.open("wb") as file:
        observed = _ObservedFile(file)
        try:
            torch.save(content, observed)  # type: ignore[arg-type]  # it only calls write and flush
        except Exception:
            if observed.error is not None:
                raise observed.error from None
            raise


class _ObservedFile:
    """A file that remembers why a write failed: torch raises an error of its own that does not give the reason."""

    def __init__(self, file: IO[bytes]):
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()
