"""Oddities of values: values that are read in another way than they are written."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from srgnn.data.log.columns.ids import BLANKS
from srgnn.data.log.columns.times import UNITS, TimeFormat


@dataclass(frozen=True)
class Oddity:
    """A kind of value that is read in another way than it is written.

    Args:
        conditions: For each column, the expression that is true for such a value.
        found: What the warning says before the examples.
        done: What it says after them.
    """

    conditions: Mapping[str, pl.Expr]
    found: str
    done: str

    @property
    def condition(self) -> pl.Expr:
        """The expression that is true for a row with such a value."""
        return pl.any_horizontal(self.conditions.values()).fill_null(False)


def find_oddities(
    types: Mapping[str, pl.DataType], names: Mapping[str, str], integer_ids: Collection[str], time: TimeFormat
) -> dict[str, Oddity]:
    """The oddities that the rows of a log may have, each under a name of its own.

    All rows are searched while they are read, so the conditions are cheap: they share the expressions of the readers.

    Args:
        types: The types of the log's columns.
        names: The log's own column for each role.
        integer_ids: The columns of ids that are read as integers.
        time: How the times are written.
    """
    texts = [name for name in dict.fromkeys(names.values()) if types[name] in (pl.String, pl.Categorical, pl.Enum)]
    spaced = {name: _stripped(name).str.len_bytes() != _text(name).str.len_bytes() for name in texts}
    # Any other fraction would contradict integers.
    whole = {name: _stripped(name).str.contains(".0", literal=True) for name in integer_ids if name in texts}
    short = pl.any_horizontal(_stripped(time.column).str.contains(sign, literal=True) for sign in ("E+", "e+"))
    repeated = time.is_repeated
    oddities = {
        "oddity_spaces": Oddity(spaced, "Spaces around values", "were removed"),
        "oddity_fractions": Oddity(whole, "Ids that end in .0", "were read as integers, without it"),
        "oddity_short_times": Oddity(
            {time.column: short} if time.name in UNITS and time.column in texts else {},
            "Times that a spreadsheet or a float has shortened",
            "were read as they are, so that clicks may have lost their order; export the column as text",
        ),
        "oddity_hours": Oddity(
            {} if repeated is None else {time.column: repeated},
            f"Times in an hour that the clocks of {time.zone} repeat",
            "were read as of its first run, which may change the order of clicks; write them in UTC or with their "
            "offset, such as +01:00",
        ),
    }
    return {name: oddity for name, oddity in oddities.items() if oddity.conditions}


def _text(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String)


def _stripped(name: str) -> pl.Expr:
    return _text(name).str.strip_chars(BLANKS)
