"""Items that a trained model does not have yet: rows for them without training, and training that begins with them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from srgnn.contracts import Model, ModelSettings, TrainableModel
from srgnn.data.sessions import Vocabulary
from srgnn.errors import ArgumentError, UserError
from srgnn.models import MODELS
from srgnn.nn.embedding import SMALLEST_NORM
from srgnn.nn.text import VECTORS, TextItemEmbedding
from srgnn.training.checkpoint import Checkpoint, CheckpointRecord, build_empty

COMPARED = 10_000  # items at least, if there are as many, whose vectors are compared with those of a checkpoint
SAME = 0.9  # the median cosine of an item's vectors, from which on one language model made them

Likeness = Sequence[int | str] | Tensor


def add_items(
    checkpoint: Checkpoint, items: Mapping[int | str, Likeness], titles: Mapping[int | str, str] | None = None
) -> Checkpoint:
    """A checkpoint with further items, whose rows are not trained.

    The record keeps its history, and `added` gets one entry for each item: its `id`, the ids that it is `like` (None
    for a vector), and the `time`. New items have no training clicks.

    Args:
        checkpoint: The checkpoint of a trained model.
        items: For each new raw id, the ids of items that it resembles, of whose rows it gets the mean, or its vector as
            a tensor: that of its text [t], if the model knows texts, else its row [d]. Rows count with length 1 where
            the model scores cosines and knows no texts.
        titles: Titles of new items.

    Raises:
        UserError: if an id is not new, an id that it resembles is not known, a vector has another size or is not
            finite, or the model has no rows for items or counts beside them.

    Example:
        >>> add_items(Checkpoint.load("best.ckpt"), {"new": ["A", "B"]}).save(Path("new.ckpt"))
    """
    record, vocabulary = checkpoint.record, checkpoint.vocabulary
    model = build_empty(record)
    tables: tuple[str, ...] = getattr(model, "item_tables", ())
    if not tables or _counts(cast(torch.nn.Module, model), tables):
        raise UserError(
            f"{record.architecture} keeps counts of its training sessions, in which no new item occurs: train it again "
            "on newer data."
        )
    ids = list(items)
    _check_new(ids, vocabulary)
    if others := [raw for raw in titles or {} if raw not in items]:
        raise ArgumentError("titles", others[0], "ids of the new items")
    likes = {raw: None if isinstance(like, Tensor) else list(like) for raw, like in items.items()}
    weights = dict(checkpoint.weights)
    for name in tables:
        table = weights[name]
        rows = [_row(name, table, vocabulary, raw, items[raw], cast(TrainableModel, model)) for raw in ids]
        weights[name] = torch.cat([table, torch.stack(rows).to(table.dtype)]) if rows else table
    time = datetime.now(UTC).isoformat(timespec="seconds")
    known = [None] * len(vocabulary) if record.titles is None else record.titles
    grown = replace(
        record,
        model=record.model | {"num_items": len(vocabulary) + len(ids)},
        vocabulary=[*record.vocabulary, *ids],
        titles=None if record.titles is None and not titles else [*known, *((titles or {}).get(raw) for raw in ids)],
        clicks=None if record.clicks is None else [*record.clicks, *(0 for _ in ids)],
        added=[*record.added, *({"id": raw, "like": likes[raw], "time": time} for raw in ids)],
    )
    return Checkpoint(grown, weights)


def _check_new(ids: Sequence[int | str], vocabulary: Vocabulary) -> None:
    kind = type(vocabulary.ids[0])
    for raw in ids:
        if type(raw) is not kind:
            raise ArgumentError("items", raw, f"ids of the type of the others, {kind.__name__}")
        if vocabulary.index(raw) is not None:
            raise ArgumentError("items", raw, "an id that the checkpoint does not have yet")


def _counts(model: torch.nn.Module, tables: Sequence[str]) -> bool:
    """Whether a model keeps something beside its weights and the tables of its items."""
    return bool(model.state_dict().keys() - dict(model.named_parameters()).keys() - {*tables})


def _row(
    name: str, table: Tensor, vocabulary: Vocabulary, raw: int | str, like: Likeness, model: TrainableModel
) -> Tensor:
    """The row of a new item in one of the tables of a model, [d]."""
    if isinstance(like, Tensor):
        learned = [each for each in model.item_tables if each != VECTORS]
        if len(learned) > 1:
            raise ArgumentError("items", raw, "the ids of similar items: this model has more than one vector per item")
        if VECTORS in model.item_tables and name != VECTORS:
            return table.new_zeros(table.size(1))  # the row of an id of which nothing is learned
        if like.shape != table.shape[1:] or not like.float().norm().isfinite():
            raise ArgumentError("items", raw, f"a vector of {table.size(1)} finite numbers, or ids of similar items")
        return like
    if isinstance(like, str) or not like:
        raise ArgumentError("items", raw, "a list of ids of similar items, such as ['A', 'B'], or a vector")
    found = [vocabulary.index(each) for each in like]
    if None in found:
        unknown = like[found.index(None)]
        raise ArgumentError("items", raw, f"similar items that the checkpoint has; {unknown} is not one of them")
    rows = table[torch.tensor(found)]
    in_units = model.item_embedding.normalized and VECTORS not in model.item_tables
    mean: Tensor = (F.normalize(rows, eps=SMALLEST_NORM) if in_units else rows).mean(dim=0)
    return mean


def take_over(model: TrainableModel, vocabulary: Sequence[int | str], checkpoint: Checkpoint) -> None:
    """Gives a model the weights of a checkpoint, in place: rows by raw id, and all other parameters as they are.

    Items that the checkpoint does not have keep their fresh rows, and rows of items that the model does not have are
    left. What a model counts in the training sessions stays its own.

    Args:
        model: A model that :func:`check_same_model` accepts.
        vocabulary: The raw ids of its items.
        checkpoint: The checkpoint.

    Raises:
        UserError: if the vectors of the items' texts have other sizes, or are those of another language model.
    """
    before = Vocabulary(checkpoint.record.vocabulary)
    places = [(row, old) for row, raw in enumerate(vocabulary) if (old := before.index(raw)) is not None]
    rows, olds = torch.tensor(places, dtype=torch.long).view(-1, 2).T
    embedding = model.item_embedding
    if isinstance(embedding, TextItemEmbedding):
        chosen = torch.arange(0, len(rows), max(1, len(rows) // COMPARED))
        check_same_texts(embedding.vectors[rows[chosen]], checkpoint.weights[VECTORS][olds[chosen]])
    with torch.no_grad():
        for name, parameter in cast(torch.nn.Module, model).named_parameters():
            if name in model.item_tables:
                parameter[rows] = checkpoint.weights[name][olds].to(parameter.dtype)
            else:
                parameter.copy_(checkpoint.weights[name])
    if isinstance(embedding, TextItemEmbedding):  # what was learned from older clicks counts
        embedding.is_cold &= ~embedding.weight.any(dim=1)
        embedding.has_cold = bool(embedding.is_cold.any())


def check_same_texts(ours: Tensor, theirs: Tensor) -> None:
    """Checks that vectors of the texts of the same items, [n, t] each, come from one language model.

    Those of single items may differ: a title changes. Zeros stand for an item without a text.

    Raises:
        UserError: if they have other sizes, or most of them point elsewhere.
    """
    if ours.size(1) != theirs.size(1):
        raise UserError(
            f"The vectors of the items' texts have {ours.size(1)} numbers, and those of the checkpoint have "
            f"{theirs.size(1)}: use the same language model.",
            "init_from",
        )
    have_both = ours.any(dim=1) & theirs.any(dim=1)
    cosines = F.cosine_similarity(ours[have_both], theirs[have_both].to(ours))
    if len(cosines) and cosines.median() < SAME:
        raise UserError(
            "The vectors of the items' texts are not those of the checkpoint (half of the items have a cosine below "
            f"{SAME}): use the same language model.",
            "init_from",
        )


def check_same_model(settings: ModelSettings, record: CheckpointRecord, path: Path) -> None:
    """Checks that a model of these settings can begin with the weights of a checkpoint.

    Raises:
        UserError: if it is another model, has weights of other sizes, or has none.
    """
    name = next(name for name, kind in MODELS.items() if type(settings) is kind)
    with torch.device("meta"):
        ours = _sizes(settings.build(record.model["num_items"]))
    theirs = _sizes(build_empty(record))
    if not ours:
        raise UserError(f"{name} has no weights to begin with: leave init_from= out.", "init_from")
    if record.architecture != name or ours != theirs:
        arguments = {each: value for each, value in record.model.items() if getattr(settings, each, value) != value}
        others = "".join(f", {each}={value}" for each, value in arguments.items())
        raise UserError(
            f"init_from={path}: its weights are those of {record.architecture}{others}, which do not fit this run's "
            f"{name}: choose the model and the sizes of the checkpoint, or leave it out.",
            "init_from",
        )


def _sizes(model: Model) -> dict[str, torch.Size]:
    """The sizes of the parameters of a model, by name."""
    return {name: parameter.shape for name, parameter in cast(torch.nn.Module, model).named_parameters()}
