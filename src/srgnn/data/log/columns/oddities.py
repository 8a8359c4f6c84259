"""Oddities of values: values that are read in another way than they are written."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from srgnn.data.log.columns.ids import BLANKS, FRACTION

SHORTENED = r"^-?\d(\.\d+)?[eE]\+\d+$"  # a large integer as spreadsheets and floats show it


@dataclass(frozen=True)
class Oddity:
    """A kind of value that is read in another way than it is written.

    Args:
        condition: The expression that is true for the rows with such a value.
        text: The warning, without the number of rows.
    """

    condition: pl.Expr
    text: str


def find_oddities(sample: pl.DataFrame, names: Mapping[str, str], integer_ids: Collection[str]) -> dict[str, Oddity]:
    """Finds the oddities of the first rows of a log, each under a name of its own.

    Args:
        sample: The first rows.
        names: The log's own column for each role.
        integer_ids: The roles, of `key` and `item`, whose ids are read as integers.
    """
    columns = [name for name in dict.fromkeys(names.values()) if _is_text(sample.schema[name])]
    spaced = {name: _text(name) != _text(name).str.strip_chars(BLANKS) for name in columns}
    spaced = {name: condition for name, condition in spaced.items() if _example(sample, name, condition) is not None}
    oddities = []
    if spaced:
        examples = ", ".join(f"{_example(sample, name, condition)!r} in {name}" for name, condition in spaced.items())
        text = f"Spaces around values, such as {examples}, were removed"
        oddities.append(Oddity(pl.any_horizontal(spaced.values()).fill_null(False), text))
    for role in ("key", "item"):
        name = names[role]
        if name not in columns:
            continue
        value = _text(name).str.strip_chars(BLANKS)
        whole = value.str.contains(FRACTION)
        example = _example(sample.with_columns(value), name, whole)
        if role in integer_ids and example is not None:
            integer = example.partition(".")[0]
            text = f"The ids of {name} such as {example} were read as integers, here as {integer}"
            oddities.append(Oddity(whole, text))
        short = value.str.contains(SHORTENED)
        example = _example(sample.with_columns(value), name, short)
        if example is not None:
            text = (
                f"A spreadsheet or a float has shortened ids of {name} such as {example}, so that different ids may "
                "have become one: they were read as they are; export the column as text"
            )
            oddities.append(Oddity(short, text))
    return {f"oddity_{place}": oddity for place, oddity in enumerate(oddities)}


def _is_text(dtype: pl.DataType) -> bool:
    return dtype in (pl.String, pl.Categorical, pl.Enum)


def _text(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String)


def _example(sample: pl.DataFrame, name: str, condition: pl.Expr) -> str | None:
    values = sample.filter(condition).head(1).select(_text(name)).to_series()
    return values[0] if len(values) else None
