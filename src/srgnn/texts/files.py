"""The file of the vectors of items: only new texts are encoded, in parts, so that a stopped run continues."""

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from srgnn.errors import ArgumentError, UserError
from srgnn.progress import Progress
from srgnn.saving import parts_folder, whole_file
from srgnn.texts.encoders import Encoder

ROWS = 2**12  # rows of a part: some ten seconds of a small model on a CPU, which are lost if a run is killed
ROW_GROUP = 2**14  # rows that a reader of the file decodes at once, 25 MB of 384 numbers each
KEY, VECTOR = "text_hash", "vector"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counts:
    """The rows of a table of items.

    Args:
        items: Number of items with a text.
        without_id: Number of rows without an id.
        without_text: Number of rows without a text.
        repeated: Number of rows of an item that has had one with a text.
    """

    items: int
    without_id: int
    without_text: int
    repeated: int


@dataclass(frozen=True)
class Embedded:
    """A file of vectors.

    Args:
        path: The file.
        width: Numbers in a vector.
        rows: The rows of the table.
        encoded: Number of items whose texts were encoded now.
        cut: Number of these whose texts were longer than the encoder reads.
    """

    path: Path
    width: int
    rows: Counts
    encoded: int
    cut: int


@dataclass(frozen=True)
class _Table:
    """The items in memory: those rows of a file that have an id and a text, of an item the first.

    Args:
        path: The Parquet file with the columns `id` and `text`.
        chosen: Which of its rows they are.
        items: Their ids, and hashes of their texts and the encoder.
    """

    path: Path
    chosen: npt.NDArray[np.bool_]
    items: pl.DataFrame

    @cached_property
    def begins(self) -> list[int]:
        """The first item of each part, and the number of items."""
        counts = [int(self.chosen[row : row + ROWS].sum()) for row in range(0, len(self.chosen), ROWS)]
        return [0, *accumulate(counts)]

    @cached_property
    def parts(self) -> list[int]:
        """The numbers of the parts that have items."""
        return [number for number, (begin, end) in enumerate(pairwise(self.begins)) if begin < end]

    def part(self, number: int) -> pl.DataFrame:
        """The ids and hashes of a part."""
        begin, end = self.begins[number : number + 2]
        return self.items[begin:end]

    def texts(self, number: int) -> pl.Series:
        """The texts of a part."""
        rows = pl.scan_parquet(self.path, glob=False).select("text").slice(number * ROWS, ROWS).collect()
        return rows["text"].filter(pl.Series(self.chosen[number * ROWS : (number + 1) * ROWS]))


@dataclass(frozen=True)
class _Stored:
    """The vectors of earlier files.

    Args:
        rows: Their hashes and vectors.
        places: The row of each hash, the first one.
    """

    rows: pl.LazyFrame
    places: pl.DataFrame

    def vectors(self, hashes: pl.Series) -> pl.DataFrame:
        """The hashes that the files have, with their vectors."""
        places = self.places.join(hashes.unique().to_frame(), on=KEY, how="semi")["row"]
        if not len(places):
            return self.rows.head(0).collect()
        first, last = int(places.min()), int(places.max())  # type: ignore[arg-type]  # files mostly have one order
        rows = self.rows.slice(first, last - first + 1).with_row_index("row", first)
        return rows.join(places.to_frame().lazy(), on="row", how="semi").drop("row").collect(engine="streaming")


def embed_file(rows: pl.LazyFrame, encoder: Encoder, output: Path) -> Embedded:
    """Writes the vectors of the texts of items to a Parquet file: `id`, `vector`, and `text_hash`.

    An item whose text the same encoder has encoded for this file keeps its vector. Parts of the result are kept in
    the folder `OUTPUT.parts`, from which the next run continues after a stop, even with further items. Memory holds
    the ids of all items, and the texts and vectors of one part.

    Args:
        rows: The table, with the columns `id` and `text`.
        encoder: Makes the vectors.
        output: The file.

    Raises:
        UserError: if there is no text, or for a file that cannot be written or is another's.
    """
    if output.suffix != ".parquet" or not output.parent.is_dir():
        raise ArgumentError("output", output, "a file in an existing folder whose name ends in .parquet")
    _check_stored(output)
    with parts_folder(output) as folder:
        table, counts = _read(rows, encoder, folder)
        missing = _missing_parts(table, folder)
        stored = _stored(table, [*([output] if output.exists() else []), *sorted(folder.glob("kept-*.parquet"))])
        encoded, cut = _write_parts(table, missing, stored, encoder, folder)
        parts = pl.scan_parquet([folder / _name(number) for number in table.parts], glob=False)
        with whole_file(output, "the vectors", "output") as temporary:
            parts.sink_parquet(temporary, row_group_size=ROW_GROUP)
        width = parts.collect_schema()[VECTOR].shape[0]  # type: ignore[attr-defined]
    return Embedded(output, width, counts, encoded, cut)


def _check_stored(output: Path) -> None:
    """Checks that a file in the place of the output is an earlier one of this function."""
    if not output.exists():
        return
    try:
        types = pl.scan_parquet(output, glob=False).collect_schema()
    except (OSError, pl.exceptions.PolarsError):
        types = pl.Schema()
    if types.get(KEY) != pl.UInt64 or not isinstance(types.get(VECTOR), pl.Array):
        raise UserError(
            f"{output} is there already, and was not made by this command: delete it, or choose another output=FILE.",
            "output",
        )


def _read(rows: pl.LazyFrame, encoder: Encoder, folder: Path) -> tuple[_Table, Counts]:
    """Copies the texts to the folder, and hashes them."""
    path = folder / "texts.parquet"
    with whole_file(path, "the texts", "output") as temporary:
        rows.sink_parquet(temporary, row_group_size=ROWS)
    found = pl.scan_parquet(path, glob=False).select("id", has_text=pl.col("text").is_not_null()).collect()
    is_usable = found["id"].is_not_null() & found["has_text"]
    usable = found.filter(is_usable).select("id", is_first=pl.col("id").is_first_distinct())
    chosen = is_usable.to_numpy().copy()
    chosen[chosen] = usable["is_first"].to_numpy()
    table = _Table(path, chosen, usable.filter("is_first").select("id"))
    if not len(table.items):
        raise UserError("No item has an id and a text: name other columns with text=[NAME,NAME] and id=NAME.", "text")
    hashes = pl.concat([_hashes(table.texts(number), encoder.identity) for number in table.parts])
    without_id = found["id"].null_count()
    without_text = len(found) - without_id - len(usable)
    counts = Counts(len(table.items), without_id, without_text, len(usable) - len(table.items))
    return replace(table, items=table.items.with_columns(hashes)), counts


def _hashes(texts: pl.Series, identity: str) -> pl.Series:
    """A number for each text under an encoder, the same on every machine."""
    start = hashlib.blake2b(identity.encode() + b"\0", digest_size=8)

    def number(text: str) -> int:
        hashed = start.copy()
        hashed.update(text.encode())
        return int.from_bytes(hashed.digest(), "big")

    return pl.Series(KEY, map(number, texts), dtype=pl.UInt64)


def _name(number: int) -> str:
    return f"part-{number:06d}.parquet"


def _missing_parts(table: _Table, folder: Path) -> list[int]:
    """The parts that are not done; those of another table are renamed, so that their vectors are found."""
    kept = 1 + max((int(path.stem.removeprefix("kept-")) for path in folder.glob("kept-*.parquet")), default=-1)
    done = set()
    for place, path in enumerate(sorted(folder.glob("part-*.parquet"))):
        number = int(path.stem.removeprefix("part-"))
        if number in table.parts and pl.read_parquet(path, columns=["id", KEY]).equals(table.part(number)):
            done.add(number)
        else:
            path.rename(folder / f"kept-{kept + place:06d}.parquet")
    if done:
        log.info("%d of %d parts are done", len(done), len(table.parts))
    return [number for number in table.parts if number not in done]


def _stored(table: _Table, paths: list[Path]) -> _Stored | None:
    """The vectors of those files that have some of the items; those of another encoder have none."""
    frames = [pl.scan_parquet(path, glob=False).select(KEY, VECTOR) for path in paths]
    frames = [
        frame
        for frame in frames
        if len(frame.select(KEY).collect(engine="streaming").join(table.items, on=KEY, how="semi"))
    ]
    if not frames:
        return None
    rows = pl.concat(frames)
    places = rows.select(KEY).collect(engine="streaming").with_row_index("row")
    return _Stored(rows, places.unique(KEY, keep="first"))


def _write_parts(
    table: _Table, missing: list[int], stored: _Stored | None, encoder: Encoder, folder: Path
) -> tuple[int, int]:
    """Writes the missing parts; returns the numbers of items that were encoded, and of those with too long texts."""
    known = pl.Series(KEY, [], pl.UInt64) if stored is None else stored.places[KEY]
    is_new = {number: ~table.part(number)[KEY].is_in(known.implode()) for number in missing}
    encoded, cut = sum(int(each.sum()) for each in is_new.values()), 0
    with Progress(total=encoded, desc="Embedding", unit=" items") as progress:
        for number in missing:
            items, new = table.part(number), is_new[number]
            frames = [] if stored is None else [stored.vectors(items[KEY].filter(~new))]
            if new.any():
                found = items.select(KEY, table.texts(number)).filter(new)
                texts = found.unique(KEY, maintain_order=True)
                cut += encoder.too_long(found["text"].to_list())
                frames.append(texts.select(KEY, pl.Series(VECTOR, encoder.encode(texts["text"].to_list()))))
            with whole_file(folder / _name(number), "the vectors", "output") as temporary:
                part = items.join(pl.concat(frames), on=KEY, how="left", maintain_order="left")
                part.select("id", VECTOR, KEY).write_parquet(temporary)
            progress.update(int(new.sum()))
    return encoded, cut
