"""Broken lines of text files: a search for them, and copies of the files without them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl

from srgnn.data.log.files import JSON, TEXT, RawFiles, writing


@dataclass(frozen=True)
class BrokenLine:
    """A line with more fields than the header has, or that is not a JSON object."""

    path: Path
    number: int  # counted from 1
    text: str


def find_broken(files: RawFiles) -> list[BrokenLine]:
    """Finds all broken lines: a slow search, for files that polars could not read."""
    broken = []
    for path in files.paths if files.kind in (*TEXT, *JSON) else ():
        lines = files.lines(path)
        if files.kind in JSON:
            is_broken: Callable[[str], bool] = _is_not_json
        else:
            separator, width = files.shape(path)
            lines = lines.filter(pl.col("line").str.count_matches(separator, literal=True) >= width)
            is_broken = partial(_has_surplus, files, separator=separator, width=width)
        condition = pl.col("line").map_batches(partial(_each, is_broken), pl.Boolean)
        rows = lines.filter(condition).collect(engine="streaming").iter_rows()
        broken += [BrokenLine(path, number, text) for number, text in rows]
    return broken


def without_broken(files: RawFiles, broken: Sequence[BrokenLine], folder: Path) -> RawFiles:
    """Copies the files to `folder`, with the broken lines blank."""
    copies = []
    for index, path in enumerate(files.paths):
        copies.append(folder / f"{index}{files.kind}")
        numbers = pl.Series([line.number for line in broken if line.path == path], dtype=pl.UInt32)
        line = pl.when(~pl.col("number").is_in(numbers.implode())).then("line").otherwise(pl.lit(""))
        with writing(copies[-1]):
            files.lines(path).select(line).sink_csv(copies[-1], include_header=False, quote_style="never")
    return replace(files, paths=tuple(copies), named=files.named or files.paths)


def _has_surplus(files: RawFiles, line: str, separator: str, width: int) -> bool:
    # An odd number of quotes: a quoted field continues on the next line.
    part_of_a_row = files.quote is not None and line.count(files.quote) % 2
    return not part_of_a_row and len(files.fields(line, separator)) > width


def _is_not_json(line: str) -> bool:
    try:
        return bool(line.strip()) and not isinstance(json.loads(line), dict)
    except ValueError:
        return True


def _each(test: Callable[[str], bool], lines: pl.Series) -> pl.Series:
    return pl.Series([test(line) for line in lines], dtype=pl.Boolean)
