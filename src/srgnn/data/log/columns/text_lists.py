"""Lists that a column holds as text: in brackets, as JSON and Python write them, or with a separator between values."""

from dataclasses import dataclass

import polars as pl

from srgnn.data.log.columns.formats import are_times
from srgnn.data.log.columns.ids import BLANKS
from srgnn.data.log.raw.text import one

SAMPLE = 1000  # the values that decide the form
BRACKETS = r"(?s)^\s*[\[({](.*)[\])}]\s*$"  # JSON and Python; PostgreSQL has braces
QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
RECORD = r"""^\s*(?:\{|"[^"]*"\s*:|'[^']*'\s*:)"""
SEPARATORS = (",", ";", "|", "->", ">")
SPACE = " "
RARE = 10  # a space separates values only if other separators are in less than one of ten


@dataclass(frozen=True)
class ListForm:
    """How lists are written.

    Args:
        separator: The character between values; a space stands for any white space.
        brackets: Whether brackets are around a list.
    """

    separator: str
    brackets: bool

    def reader(self, name: str) -> pl.Expr:
        """The expression that reads a column as lists of text; null for a value without any."""
        text = pl.col(name).cast(pl.String).str.strip_chars(BLANKS)
        if self.brackets:
            text = pl.coalesce(text.str.extract(BRACKETS), text).str.strip_chars(BLANKS)
            text = pl.when(text != "").then(text)
        else:
            text = pl.when(text != "").then(text.str.strip_chars(self.separator))
        if self.separator == SPACE:
            values = text.str.extract_all(rf"{QUOTED}|\S+")
        elif self.brackets:  # a quote opens a value at its start only, unlike the one in Levi's
            sign = one(self.separator)
            values = text.str.extract_all(rf"(?:^|{sign})\s*(?:(?:{QUOTED})\s*|[^{sign}]*)")
            values = values.list.eval(pl.element().str.strip_prefix(self.separator))
        else:
            values = text.str.split(self.separator)
        value = pl.element().str.strip_chars(BLANKS)
        unquoted = (
            value.str.extract(f"(?s)^{quote}(.*){quote}$").str.replace_all(r"\\([\\/\"'])", "$1") for quote in "\"'"
        )
        return values.list.eval(pl.coalesce(*unquoted, value))


def find_form(sample: pl.Series) -> ListForm | None:
    """The form of lists in a column; None if it holds none.

    Args:
        sample: First values of the column.
    """
    if sample.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return None
    texts = sample.cast(pl.String).str.strip_chars(BLANKS)
    texts = texts.filter(texts != "")
    in_brackets = texts.str.extract(BRACKETS)
    brackets = len(texts) > 0 and 2 * (len(texts) - in_brackets.null_count()) > len(texts)
    if brackets:
        texts = in_brackets.drop_nulls()
        if 2 * int(texts.str.contains(RECORD).sum()) > len(texts):
            return None
        texts = texts.str.strip_chars(BLANKS)
    counts = {separator: int(texts.str.contains(separator, literal=True).sum()) for separator in (*SEPARATORS, SPACE)}
    best = max((sign for sign in SEPARATORS if not brackets or len(sign) == 1), key=counts.__getitem__)
    if counts[SPACE] and RARE * counts[best] < len(texts):
        best = SPACE
    return ListForm(best, brackets) if brackets or counts[best] else None


def in_step(sample: pl.DataFrame, name: str, other: str) -> ListForm | None:
    """The form of another column whose lists have the lengths of a column's lists; None if its values are no lists.

    Args:
        sample: The first rows.
        name: The column, of lists.
        other: The other column.
    """
    form = find_form(sample[other])
    if form is None:
        return None
    lengths = form.reader(other).list.len()
    frame = sample.select(length=pl.col(name).list.len(), other=lengths).drop_nulls()
    longest = frame.select(pl.col("length").max().fill_null(0)).item()
    frame = frame.filter(pl.col("length") >= min(3, longest))  # a time in an unknown format may seem a list of two
    is_list = 2 * int((frame["length"] == frame["other"]).sum()) > len(frame)
    is_list &= form.brackets or longest > 1
    return form if is_list and not are_times(sample[other].cast(pl.String)) else None
