"""Checkpoints: self-contained files that load without running code from them. Needs neither Lightning nor Hydra.

Those of a table that is sharded over processes are folders, see :mod:`srgnn.training.checkpoint_folder`.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeGuard, cast

import polars as pl
import torch
from torch import Tensor

from srgnn.contracts import Model, TrainableModel
from srgnn.data.sessions import Vocabulary
from srgnn.errors import UserError
from srgnn.metrics import is_finite
from srgnn.models import MODELS
from srgnn.nn.embedding import ItemEmbedding
from srgnn.saving import remove, whole_file, write_tensors
from srgnn.training import checkpoint_folder

KEY = "srgnn"  # of the record in the file, beside Lightning's own entries
FORMAT = 2  # of the record; 1 had neither this entry nor `clicks`
MODEL = "model."  # the name of the model within the LightningModule


@dataclass(frozen=True)
class CheckpointRecord:
    """The description that a checkpoint carries of itself, in plain values.

    Args:
        model: Arguments of the model, with `num_items`.
        vocabulary: Raw item ids by index, [V].
        titles: Item titles by index, [V]; None if the log had no table of items.
        data: Manifest of the data that the model was trained on.
        config: Configuration of the run.
        stage: `select`, `refit`, `paper` or `counted`, see :mod:`srgnn.training.protocols`.
        history: Metrics of every evaluated epoch, as fractions, with `epoch` counted from 1.
        versions: Versions of Python and of the libraries that matter.
        chosen: The chosen entry of `history`; None until one is chosen.
        architecture: Name of the model in :data:`srgnn.models.MODELS`.
        clicks: Number of training clicks of every item, [V]; None in checkpoints of the first format.
        init_from: The checkpoint whose weights the training began with; empty for fresh ones.
        added: One entry for each item that was added after the training, see :mod:`srgnn.training.new_items`.
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
    clicks: list[int] | None = None
    init_from: str = ""
    added: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        expected: dict[str, bool] = {
            "model": _is_dict(self.model) and self.model.get("num_items") == len(self.vocabulary),
            "vocabulary": isinstance(self.vocabulary, list) and all(type(raw) in (int, str) for raw in self.vocabulary),
            "titles": self.titles is None
            or (
                len(self.titles) == len(self.vocabulary)
                and all(type(each) in (str, type(None)) for each in self.titles)
            ),
            "clicks": self.clicks is None
            or (len(self.clicks) == len(self.vocabulary) and all(type(each) is int for each in self.clicks)),
            **{
                name: isinstance(entries := getattr(self, name), list) and all(map(_is_dict, entries))
                for name in ("history", "added")
            },
            "chosen": self.chosen is None or _is_dict(self.chosen),
            **{name: _is_dict(getattr(self, name)) for name in ("data", "config", "versions")},
            **{name: isinstance(getattr(self, name), str) for name in ("stage", "architecture", "init_from")},
        }
        if wrong := [name for name, is_right in expected.items() if not is_right]:
            raise TypeError(f"wrong {' and '.join(wrong)}")

    def plain(self) -> dict[str, Any]:
        """The record as a dictionary, which `torch.load(..., weights_only=True)` reads."""
        return {"format": FORMAT, **{each.name: getattr(self, each.name) for each in fields(self)}}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "CheckpointRecord":
        """The record of a dictionary; entries that this version does not know are ignored.

        Raises:
            TypeError: if the model or the vocabulary is missing, or an entry has another type or size.
            UserError: if it was written in a later format.
        """
        if not _is_dict(values):
            raise TypeError("no entries")
        if values.get("format", 1) > FORMAT:
            raise UserError(
                f"The checkpoint has format {values['format']}, and this version reads formats up to {FORMAT}: update "
                "srgnn."
            )
        return cls(**{each.name: values[each.name] for each in fields(cls) if each.name in values})


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: its record, and the weights of its model by name."""

    record: CheckpointRecord
    weights: dict[str, Tensor]

    @classmethod
    def load(cls, path: str | Path) -> "Checkpoint":
        """Reads a checkpoint; the weights stay in the file until they are used, those of a folder are read at once.

        Raises:
            UserError: if it is missing, damaged or not a checkpoint of this project.
        """
        path = Path(path)
        record, saved = _read(path)
        state = checkpoint_folder.read_whole(path, MODEL) if path.is_dir() else saved.get("state_dict")
        if not _is_dict(state) or not all(isinstance(weight, Tensor) for weight in state.values()):
            raise _foreign(path, "no weights")
        return cls(record, {name.removeprefix(MODEL): w for name, w in state.items() if name.startswith(MODEL)})

    def build_model(self) -> Model:
        """The trained model, in evaluation mode.

        Raises:
            UserError: if this version does not have that model, or the weights do not fit it or are not finite.
        """
        model = build_empty(self.record)
        try:
            model.load_state_dict(self.weights, assign=True)  # straight from the file, without a second copy
        except (RuntimeError, TypeError) as error:
            raise _unfit(error) from error
        broken = [key for key, weight in self.weights.items() if not is_finite(weight)]
        if broken:
            raise UserError(
                f"The checkpoint holds weights that are not finite numbers ({', '.join(broken)}): its training "
                "diverged; train again with a smaller lr=, or use an earlier checkpoint.",
                "lr",
            )
        embedding: ItemEmbedding | None = getattr(model, "item_embedding", None)
        if embedding is not None:
            cast(TrainableModel, model).item_embedding = embedding.merged()
        return model.eval()

    @cached_property
    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of a SHA-256 over what answers depend on."""
        record = self.record
        digest = sha256(json.dumps([record.architecture, record.model, record.vocabulary, record.clicks]).encode())
        for name, weight in sorted(self.weights.items()):
            digest.update(name.encode())
            digest.update(weight.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Writes the record and the weights to one file, from which :meth:`load` reads them.

        Raises:
            UserError: if the system refuses to write.
        """
        state = {f"{MODEL}{name}": weight for name, weight in self.weights.items()}
        save({"state_dict": state, KEY: self.record.plain()}, path)

    @property
    def vocabulary(self) -> Vocabulary:
        """The item ids, and titles where there are any."""
        titles = self.record.titles
        table = None if titles is None else pl.DataFrame({"title": titles}, schema={"title": pl.String})
        return Vocabulary(self.record.vocabulary, table)


def load_record(path: Path) -> CheckpointRecord:
    """The record of a checkpoint, without its weights.

    Raises:
        UserError: if it is missing, damaged or not a checkpoint of this project.
    """
    return _read(path)[0]


def build_empty(record: CheckpointRecord) -> Model:
    """The model of a record, without memory for its weights (on torch's device `meta`).

    Raises:
        UserError: if this version does not have that model, or not with these arguments.
    """
    name = record.architecture
    if name not in MODELS:
        raise UserError(
            f"The checkpoint holds the model {name}, which this version does not have ({', '.join(MODELS)}): update "
            "srgnn, or use a checkpoint of one of these."
        )
    arguments = dict(record.model)
    num_items = arguments.pop("num_items")
    try:
        with torch.device("meta"):
            return MODELS[name](**arguments).build(num_items)
    except (RuntimeError, TypeError, UserError) as error:
        raise _unfit(error) from error


def verify(path: Path) -> None:
    """Compares every part of a file with the checksum (CRC-32) that its zip archive holds, and its sizes.

    Of a folder, this is the file of its record.

    Raises:
        UserError: if the file is missing or damaged.
    """
    file = path / checkpoint_folder.META if path.is_dir() else path
    if not file.is_file():
        raise UserError(f"There is no checkpoint {path}: give the path of a .ckpt file.")
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            # torch never compresses: a small file cannot unpack to more than its size.
            is_whole = all(part.compress_type == zipfile.ZIP_STORED for part in parts) and archive.testzip() is None
            is_whole &= sum(part.file_size for part in parts) <= file.stat().st_size
    except Exception as error:  # of many kinds, as the damage is
        raise _unreadable(path, error) from error
    if not is_whole:
        raise UserError(f"{path} is damaged: use another checkpoint, or train again.")


def _read(path: Path) -> tuple[CheckpointRecord, dict[str, Any]]:
    """The record of a checkpoint, and all that its file holds."""
    verify(path)
    file = path / checkpoint_folder.META if path.is_dir() else path
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises many kinds of errors for a file that is not its own
        raise _unreadable(path, error) from error
    try:
        return CheckpointRecord.from_plain(saved[KEY]), saved
    except (KeyError, TypeError) as error:
        raise _foreign(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    kind = type(error).__name__
    return UserError(f"{path} cannot be read as a checkpoint ({kind}): give a file that train.py or export.py wrote.")


def _foreign(path: Path, reason: object) -> UserError:
    return UserError(f"{path} is not a checkpoint of this project ({reason}): expected one of a training run.")


def _unfit(error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:300]
    return UserError(f"The weights of the checkpoint do not fit its model ({reason}): use another checkpoint.")


def _is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def save(content: Mapping[str, Any], path: Path) -> None:
    """Writes the content of a checkpoint straight to its file, without a copy in memory, whole or not at all.

    Raises:
        UserError: if the system refuses to write.
    """
    with whole_file(path, "the checkpoint", "folder") as temporary:
        write_tensors(content, temporary)
        if path.is_dir():  # of a training on several processes
            remove(path)
