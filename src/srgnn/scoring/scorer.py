"""Recommendations as a function from Arrow to Arrow, in the shape that Ray Data and Spark take."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from pyarrow import types
from torch import Tensor

from srgnn.answers import check_ids
from srgnn.data.sessions import Sessions, pointers
from srgnn.errors import UserError, check_bool, check_int
from srgnn.recommender import Recommender

ROWS = 4096  # sessions that are answered at a time: their answers stay small beside the model
CELLS = 2**17  # items that are ranked for them at a time, with those that are left out: 1.5 MB
ITEMS, SCORES, TITLES, BY_POPULARITY, SKIPPED = "items", "scores", "titles", "by_popularity", "skipped"


@dataclass(frozen=True)
class Scorer:
    """Recommendations for a table of sessions: a call maps an Arrow table to an Arrow table with one row for each row.

    A scorer is pickled as its arguments. It loads the checkpoint when it is called first, once in each process.

    The result has the other columns of the table as they were, and then:

    - `items`: the recommended items, best first, raw ids; fewer than `k` where the options leave fewer,
    - `scores`: their scores; numbers of clicks if `by_popularity`,
    - `titles`: their titles, if they are asked for and the log had a table of items,
    - `by_popularity`: whether no click of the session was known, so that these are the most clicked items,
    - `skipped`: number of clicks on unknown items.

    Args:
        checkpoint: The checkpoint.
        k: Number of items.
        column: The column of the sessions: lists of item ids, text or integers, oldest click first.
        new_only: Whether the items of the session itself are left out.
        without: Further items to leave out.
        only: The items to choose from; None for all.
        titles: Whether the result has the titles of the items.

    Raises:
        ArgumentError: for a value that is not allowed.

    Example:
        >>> Scorer("outputs/.../best.ckpt", k=20)(pa.table({"session": [7], "items": [["A", "B", "A"]]}))
    """

    checkpoint: str | Path
    k: int = 10
    column: str = ITEMS
    new_only: bool = False
    without: Sequence[int | str] = ()
    only: Sequence[int | str] | None = None
    titles: bool = False

    def __post_init__(self) -> None:
        check_int("k", self.k, 1)
        check_bool("new_only", self.new_only)
        check_bool("titles", self.titles)
        for name in ("without", "only"):
            if (ids := getattr(self, name)) is not None:
                check_ids(name, ids)
                object.__setattr__(self, name, tuple(ids))  # to be hashed

    def __call__(self, table: pa.Table | pa.RecordBatch) -> pa.Table:
        """The recommendations for a table or a record batch.

        Raises:
            UserError: if the checkpoint cannot be read, the table has no such column of sessions, or a column with the
                name of one of the result, `k` is larger than the number of items, or no id of `only` is known.
        """
        batches = [table] if isinstance(table, pa.RecordBatch) else table.to_batches()
        return pa.Table.from_batches(self.batches(batches), self.schema(table.schema))

    def batches(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The recommendations for a stream of record batches, as a stream.

        Raises:
            UserError: see :meth:`__call__`.
        """
        for batch in batches:
            schema = self.schema(batch.schema)
            rows = max(1, min(ROWS, CELLS // self.k))
            for first in range(0, len(batch), rows):
                yield self._answer(batch.slice(first, rows), schema)

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The columns of the result for a table with the columns of `schema`.

        Raises:
            UserError: see :meth:`__call__`.
        """
        self._check(schema)
        loaded = self._loaded
        fields = [field for field in schema if field.name != self.column]
        fields += [pa.field(ITEMS, pa.list_(loaded.ids.type)), pa.field(SCORES, pa.list_(pa.float32()))]
        fields += [] if loaded.titles is None else [pa.field(TITLES, pa.list_(pa.string()))]
        return pa.schema([*fields, pa.field(BY_POPULARITY, pa.bool_()), pa.field(SKIPPED, pa.int32())])

    @property
    def _loaded(self) -> "_Loaded":
        return _load(self, os.stat(self.checkpoint).st_mtime_ns if os.path.exists(self.checkpoint) else 0)

    def _check(self, schema: pa.Schema) -> None:
        found = ", ".join(schema.names)
        if schema.names.count(self.column) != 1:
            raise UserError(
                f"The sessions need one column {self.column}, of lists of item ids; found {found}. Name yours with "
                "column=NAME.",
                "column",
            )
        kind = schema.field(self.column).type
        if not hasattr(kind, "value_type") or types.is_dictionary(kind) or not _is_id(kind.value_type):
            raise UserError(
                f"The column {self.column} holds {kind}: expected lists of item ids, which are text or integers."
            )
        ours = [ITEMS, SCORES, *([TITLES] if self.titles else []), BY_POPULARITY, SKIPPED]
        if taken := [name for name in ours if name in schema.names and name != self.column]:
            raise UserError(
                f"The table of sessions has a column {taken[0]}, as the recommendations have: give it another name."
            )

    def _answer(self, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        loaded = self._loaded
        sessions, skipped = _look_up(batch.column(self.column), loaded.texts)
        items, scores = self._best(loaded, sessions)
        is_found = items >= 0
        offsets = pa.array(pointers(is_found.sum(1)).int().numpy())
        best = pa.array(items[is_found].numpy())
        columns = [batch.column(field.name) for field in batch.schema if field.name != self.column]
        columns += [
            pa.ListArray.from_arrays(offsets, values)
            for values in (
                loaded.ids.take(best),
                pa.array(scores[is_found].numpy()),
                *([] if loaded.titles is None else [loaded.titles.take(best)]),
            )
        ]
        columns += [pa.array((sessions.lengths == 0).numpy()), pa.array(skipped.int().numpy())]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _best(self, loaded: "_Loaded", sessions: Sessions) -> tuple[Tensor, Tensor]:
        """The best items of all sessions and their scores, [S, k] each: -1 where there are too few."""
        recommender = loaded.recommender
        left_out = _left_out(sessions, loaded.without, len(recommender.vocabulary), self.new_only)
        items = torch.full((len(sessions), self.k), -1)
        scores = torch.zeros(len(sessions), self.k)
        # A part is ranked with as many more items as any of its sessions leaves out: those with many come first.
        order = left_out.lengths.argsort(descending=True, stable=True)
        first = 0
        while first < len(order):
            rows = order[first : first + max(1, CELLS // (self.k + int(left_out.lengths[order[first]])))]
            out = _chosen(left_out, rows)
            without = out if len(out.items) else None
            best = recommender.retrieval.best_items(_chosen(sessions, rows), self.k, without, loaded.only)
            items[rows, : best.items.shape[1]] = best.items
            scores[rows, : best.items.shape[1]] = best.scores
            first += len(rows)
        return items, scores


@dataclass(frozen=True)
class _Loaded:
    """What a scorer needs of its checkpoint.

    Args:
        recommender: The recommender.
        ids: The raw ids of all items.
        texts: The same ids as text, by which those of sessions are looked up.
        titles: The titles of all items; None if there are none, or they are not asked for.
        without: The items that are left out for every session, [n].
        only: The items to choose from, ascending; None for all.
    """

    recommender: Recommender
    ids: Any
    texts: Any
    titles: Any | None
    without: Tensor
    only: Tensor | None


@lru_cache(maxsize=1)
def _load(scorer: Scorer, modified: int) -> _Loaded:
    """Loads a checkpoint, anew if the file has changed."""
    recommender = Recommender.load(scorer.checkpoint)
    check_int("k", scorer.k, 1, len(recommender.vocabulary))
    ids = pa.array(recommender.vocabulary.ids)
    return _Loaded(
        recommender,
        ids,
        ids.cast(pa.string()),
        pa.array(recommender.titles, pa.string()) if scorer.titles and recommender.titles is not None else None,
        torch.tensor(sorted({*recommender.look_up(scorer.without)[0]}), dtype=torch.long),
        None if scorer.only is None else recommender.choice(scorer.only),
    )


def _is_id(kind: pa.DataType) -> bool:
    """Whether values of a type may be item ids; a column of empty lists alone has values without a type."""
    if types.is_dictionary(kind):
        kind = kind.value_type
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(is_text or types.is_integer(kind) or types.is_null(kind))


def _look_up(clicks: pa.Array, texts: pa.Array) -> tuple[Sessions, Tensor]:
    """The known clicks of every row as indices, and the number of the other clicks, [S]."""
    index = pc.index_in(pc.list_flatten(clicks).cast(pa.string()), texts)
    index = torch.tensor(index.fill_null(-1).to_numpy(zero_copy_only=False), dtype=torch.long)
    row = torch.tensor(pc.list_parent_indices(clicks).to_numpy(zero_copy_only=False), dtype=torch.long)
    is_known = index >= 0
    known, skipped = (torch.bincount(row[mask], minlength=len(clicks)) for mask in (is_known, ~is_known))
    return Sessions(index[is_known], pointers(known)), skipped


def _left_out(sessions: Sessions, without: Tensor, num_items: int, new_only: bool) -> Sessions:
    """The items that are left out for each session, none twice."""
    keys = (torch.arange(len(sessions)).view(-1, 1) * num_items + without).view(-1)
    if new_only:
        keys = torch.cat([keys, sessions.owner * num_items + sessions.items])
    keys = torch.unique(keys)  # in order
    return Sessions(keys % num_items, pointers(torch.bincount(keys // num_items, minlength=len(sessions))))


def _chosen(sessions: Sessions, rows: Tensor) -> Sessions:
    """The sessions with these numbers, in this order."""
    ptr = pointers(sessions.lengths[rows])
    clicks = torch.arange(int(ptr[-1])) + (sessions.ptr[rows] - ptr[:-1]).repeat_interleave(ptr.diff())
    return Sessions(sessions.items[clicks], ptr)
