"""Ids and numbers of a click log: integers if all of them are integers, else text or floats."""

import polars as pl

EXACT = 2**53  # integers below it are exact as floats


def id_reader(sample: pl.Series, as_text: bool = False) -> pl.Expr:
    """The expression that reads a column of ids: integers if all of the sample are, else text; null for a missing id.

    Args:
        sample: First values of the column, with its name.
        as_text: Whether to read text whatever the sample holds, for a column with other ids in later rows.
    """
    column = pl.col(sample.name)
    if sample.dtype.is_integer():
        return column
    if sample.dtype.is_float():
        column = column.fill_nan(None)
        if not as_text:  # pandas writes integers as floats where some are missing
            whole = (column == column.floor()) & (column.abs() < EXACT)
            return pl.when(whole).then(column.cast(pl.Int64, strict=False))
    text = column.cast(pl.String)
    # "007" and "+7" are different ids from 7.
    is_text = text.str.starts_with("0") & (text != "0") | text.str.starts_with("+") | text.str.starts_with("-0")
    number = pl.when(~is_text).then(text.cast(pl.Int64, strict=False))
    values = sample.drop_nulls().to_frame()
    if not as_text and values.height and not values.select(number.has_nulls()).item():
        return number
    return pl.when(text != "").then(text)


def number_reader(sample: pl.Series) -> pl.Expr:
    """The expression that reads a column of numbers: integers if all of the sample are, else floats.

    Args:
        sample: First values of the column, with its name.
    """
    column = pl.col(sample.name)
    if sample.dtype.is_integer():
        return column
    if not sample.dtype.is_numeric():  # text, or categories of text
        column, text = column.cast(pl.String), sample.cast(pl.String)
        if text.cast(pl.Int64, strict=False).null_count() == text.null_count():
            return column.cast(pl.Int64, strict=False)
    return column.cast(pl.Float64, strict=False).fill_nan(None)
