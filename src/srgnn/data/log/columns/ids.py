"""Ids and numbers of a click log: integers if all of them are integers, else text or floats."""

import re
from collections.abc import Collection

import polars as pl

# Words that programs write where there is no value: pandas, NumPy, R, SQL dumps, Python, JavaScript, spreadsheets.
# In any case: nan and NAN are NaN, too.
MISSING = (
    *("NaN", "NaT", "NULL", "None", "nil", "NA", "N/A", "n.a.", "<NA>", "#N/A", "(null)", "<null>", "undefined"),
    r"\N",
)
# White space, listed: polars computes an expression with `strip_chars()` anew wherever it occurs.
BLANKS = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
BLANKS += "".join(map(chr, range(0x2000, 0x200B)))
# Signs that take no room, of the category Cf; without those that show, such as U+06DD, or spell the flags of regions.
BLANKS += "\xad\u061c\u180e\ufeff\ufff9\ufffa\ufffb"
BLANKS += "".join(map(chr, (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070))))
EXACT = 2**53  # integers below it are exact as 64-bit floats
LIMITS: dict[type[pl.DataType], int] = {pl.Float16: 2**11, pl.Float32: 2**24}  # those of shorter floats
INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)  # those that fit 64 bits with sign
NUMBER = re.compile(r"-?\d{1,15}")  # a word for nothing that may stand among integers, such as 0 or -1
# The text of a record or a list, as JSON or Python write it.
RECORD = r"^(?:\{\s*\}|\{\s*[\"'][\s\S]*\}|\[\s*\]|\[\s*(?:[\"'\[{\d-]|true|false|null|True|False|None)[\s\S]*\])$"
UUID = r"^(.{8})(.{4})([1-8].{3})([89ab].{3})(.{12})$"  # in hexadecimal, with its version and variant
FRACTION = r"(\.0+)$"  # of whole floats, which pandas makes of integers where values are missing


def id_reader(sample: pl.Series, as_text: bool = False, missing: Collection[str] = MISSING) -> pl.Expr:
    """The expression that reads a column of ids: integers if all of the sample are, else text; null for a missing id.

    Text is read without surrounding spaces, and whole floats such as `12.0` are integers.

    Args:
        sample: First values of the column, with its name.
        as_text: Whether to read text whatever the sample holds, for a column with other ids in later rows.
        missing: The words that stand for a missing id in any case of letters, besides the empty text.
    """
    column = pl.col(sample.name)
    if sample.dtype in INTEGERS:
        return _without_integers(column, missing)
    if sample.dtype.is_float():
        column = _without_integers(column.fill_nan(None), missing)
        whole = (column == column.floor()) & (column.abs() < exact_limit(sample.dtype))
        integer = pl.when(whole).then(column.cast(pl.Int64, strict=False))
        return pl.coalesce(integer.cast(pl.String), column.cast(pl.String)) if as_text else integer
    text = text_reader(sample, missing)
    if as_text:
        return text
    number = integer_reader(sample)
    if any(map(NUMBER.fullmatch, missing)):  # other words are no integers anyway: do not look for them in every row
        number = pl.when(text.is_not_null()).then(number)
    contradicts = (number.is_null() & text.is_not_null()).any()
    return text if sample.to_frame().select(contradicts).item() else number


def integer_reader(sample: pl.Series) -> pl.Expr:
    """The expression that reads text as integers, among them whole floats such as `12.0`; null for other text.

    Args:
        sample: First values of the column, with its name.
    """
    fraction = sample.to_frame().select(stripped(sample).str.extract(FRACTION)).to_series().drop_nulls()
    whole = stripped(sample).str.strip_suffix(fraction[0] if len(fraction) else ".0")
    # "007" and "+7" are different ids from 7.
    is_text = whole.str.starts_with("0") & (whole != "0") | whole.str.starts_with("+") | whole.str.starts_with("-0")
    return pl.when(~is_text).then(whole.cast(pl.Int64, strict=False))


def _without_integers(ids: pl.Expr, missing: Collection[str]) -> pl.Expr:
    """Null for those of the words that are integers, such as 0 or -1."""
    words = [word for word in missing if NUMBER.fullmatch(word)]
    return pl.when(pl.all_horizontal(ids != int(word) for word in words)).then(ids) if words else ids


def number_reader(sample: pl.Series, as_float: bool = False, missing: Collection[str] = MISSING) -> pl.Expr:
    """The expression that reads a column of numbers or times: integers if all of the sample are, else floats.

    Args:
        sample: First values of the column, with its name.
        as_float: Whether to read text as floats whatever the sample holds, for a column with fractions in later rows.
        missing: The words that stand for a missing number.
    """
    column = pl.col(sample.name)
    if sample.dtype.is_integer():
        return column
    if sample.dtype.is_temporal():
        return column.to_physical()
    if not sample.dtype.is_numeric():
        column = text_reader(sample, missing)
        integer = column.cast(pl.Int64, strict=False)
        if not as_float and not sample.to_frame().select((integer.is_null() & column.is_not_null()).any()).item():
            return integer
    return column.cast(pl.Float64, strict=False).fill_nan(None)


def text_reader(sample: pl.Series, missing: Collection[str] = ()) -> pl.Expr:
    """The expression that reads a column as text without surrounding spaces; null for a missing value.

    Args:
        sample: First values of the column, with its name.
        missing: The words that stand for a missing value, besides the empty text.
    """
    text = stripped(sample)
    words = [word.lower() for word in missing]
    is_value = (text != "") & ~text.str.to_lowercase().is_in(words) if words else text != ""
    return pl.when(is_value).then(text)


def stripped(sample: pl.Series) -> pl.Expr:
    """The expression for a column as text without surrounding spaces; bytes that are not UTF-8 are hexadecimal.

    UUIDs have their dashes: polars reads them from Parquet as bytes.
    """
    column = pl.col(sample.name)
    if sample.dtype == pl.Binary and not _is_utf8(sample):
        column = column.bin.encode("hex")
        is_uuid = sample.drop_nulls().bin.encode("hex").str.contains(UUID)
        if 2 * int(is_uuid.sum()) >= len(is_uuid):  # of other bytes, one in eight looks like one
            column = column.str.replace(r"^(.{8})(.{4})(.{4})(.{4})(.{12})$", "$1-$2-$3-$4-$5")
    return column.cast(pl.String).str.strip_chars(BLANKS)


def without_records(ids: pl.Expr, sample: pl.DataFrame) -> pl.Expr:
    """Ids of JSON lines, where polars reads records and lists among text as the text of their JSON: null for these.

    Args:
        ids: The expression that reads the ids.
        sample: First rows.
    """
    is_text = sample.select(ids).to_series().dtype == pl.String
    return pl.when(~ids.str.contains(RECORD)).then(ids) if is_text else ids


def values_alone(sample: pl.Series) -> pl.Series:
    """First values of a column of JSON lines without the text of records and lists, which are no ids."""
    return sample.filter(~sample.str.contains(RECORD).fill_null(False)) if sample.dtype == pl.String else sample


def exact_limit(dtype: pl.DataType) -> int:
    """The integer from which on floats of a type are not exact."""
    return LIMITS.get(type(dtype), EXACT)


def _is_utf8(sample: pl.Series) -> bool:
    try:
        sample.cast(pl.String)
    except pl.exceptions.ComputeError:
        return False
    return True
