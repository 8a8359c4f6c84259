"""Columns of one name in several files: the types that fit together, and an error for those that do not."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from srgnn.data.log.raw.text import python
from srgnn.errors import UserError


def alike(frames: Sequence[pl.LazyFrame], paths: Sequence[Path]) -> list[pl.LazyFrame]:
    """The rows of several files, of which times in several zones are cast to UTC and categories to text.

    Args:
        frames: The rows of each file.
        paths: The files, for the error message.

    Raises:
        UserError: for a column whose types have nothing in common.
    """
    schemas = [frame.collect_schema() for frame in frames]
    types: dict[str, dict[pl.DataType, Path]] = {}  # of each column, with the first file of each type
    for schema, path in zip(schemas, paths, strict=True):
        for name, dtype in schema.items():
            types.setdefault(name, {}).setdefault(_common(dtype), path)
    mixed = {name: found for name, found in types.items() if len(found) > 1}
    for name, found in mixed.items():
        _check(name, found)
    several = {name for name in types if len({schema[name] for schema in schemas if name in schema}) > 1}
    return [
        frame.with_columns(pl.col(name).cast(_common(schema[name])) for name in several.intersection(schema))
        for frame, schema in zip(frames, schemas, strict=True)
    ]


def _common(dtype: pl.DataType) -> pl.DataType:
    if isinstance(dtype, pl.Datetime):
        return pl.Datetime("us", "UTC" if dtype.time_zone else None)
    return pl.String() if isinstance(dtype, pl.Categorical | pl.Enum) else dtype


def _check(name: str, found: Mapping[pl.DataType, Path]) -> None:
    (first, path), *others = found.items()
    for dtype, other in others:
        if _fit(name, first, dtype):
            continue
        text = f"The column {name} is {_words(first)} in {path} and {_words(dtype)} in {other}: expected one type"
        if isinstance(first, pl.Datetime) and isinstance(dtype, pl.Datetime):
            naive = path if first.time_zone is None else other
            fix = naive.with_name(f"{naive.stem}-utc{naive.suffix}")
            code = (
                f"import polars as pl; pl.scan_parquet({str(naive)!r}, glob=False).with_columns("
                f"pl.col({name!r}).dt.replace_time_zone('UTC')).sink_parquet({str(fix)!r})"
            )
            text += f"; if the times of {naive.name} are UTC, give instead of it the file written by {python(code)}"
        else:
            text += ", so write one of the files anew"
        raise UserError(f"{text}.")


def _fit(name: str, first: pl.DataType, second: pl.DataType) -> bool:
    """Whether values of both types can stand in one column."""
    empty = [pl.LazyFrame(schema={name: dtype}) for dtype in (first, second)]
    try:
        pl.concat(empty, how="vertical_relaxed").collect_schema()
    except pl.exceptions.PolarsError:
        return False
    # A time as a number would be in a unit of its own.
    return not ((first.is_temporal() and second.is_numeric()) or (first.is_numeric() and second.is_temporal()))


def _words(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        return f"a time {'with' if dtype.time_zone else 'without'} a time zone"
    return f"of type {dtype}"
