"""Times of a click log: read from any common form as µs since 1970 in UTC."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from srgnn.errors import OptionError, UserError

DAY = 86_400_000_000  # in µs, the unit of every time here
UNITS = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 0.001}  # of epoch times, in µs
FORMATS = (
    *("%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f%#z"),
    *("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f UTC", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d"),
    *("%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%Y%m%d"),
)
LATEST = 253_402_300_799_999_999  # the year 9999 ends: a later time is an error, and none may overflow
DATES = 99_999_999  # numbers up to it may be dates such as 20160509; epoch times since 1973 are larger


def reader(sample: pl.Series, time_format: str | None = None, time_zone: str = "UTC") -> pl.Expr:
    """The expression that reads the column of `sample` as µs since 1970 in UTC; null where it cannot.

    Args:
        sample: Some of the column's values, which tell the form of all of them.
        time_format: s, ms, us or ns since 1970, or a strftime format; None finds it.
        time_zone: Of times without a zone.

    Raises:
        OptionError: for a format or a zone that there is not.
        UserError: when no known format reads any of the sample.
    """
    try:
        pl.select(pl.lit(0).cast(pl.Datetime("us")).dt.replace_time_zone(time_zone))
    except pl.exceptions.PolarsError as error:
        raise OptionError("time_zone", time_zone, "a name such as UTC or Europe/Berlin") from error
    column, values = pl.col(sample.name), sample.drop_nulls()
    if sample.dtype.is_temporal():
        zone = getattr(sample.dtype, "time_zone", None)
        return _in_utc(column.cast(pl.Datetime("us", zone)), None if zone else time_zone)
    numbers = values.cast(pl.Float64, strict=False)
    large = numbers.abs().filter(numbers.abs() > DATES)
    if time_format is None and len(large) >= max(1, len(values) / 2):
        time_format = _unit(large)
    if time_format in UNITS:
        whole = values.dtype.is_integer() or not values.cast(pl.String).str.contains(r"[.eE]").any()
        dtype = pl.Int64 if whole and time_format != "ns" else pl.Float64
        number, unit = column.cast(dtype, strict=False), UNITS[time_format]
        return pl.when(number.abs() <= LATEST / unit).then((number * unit).round()).cast(pl.Int64)
    text = values.cast(pl.String)

    def hits(name: str) -> int:
        try:
            return int(text.str.to_datetime(name, strict=False).is_not_null().sum())
        except pl.exceptions.PolarsError as error:
            why = str(error).splitlines()[0]
            raise OptionError("time_format", name, f"s, ms, us, ns or a strftime format ({why})") from error

    best = max([time_format] if time_format else FORMATS, key=hits)  # the first of equals
    if len(text) and not hits(best):
        raise UserError(
            f"The times in the column {sample.name} cannot be read, such as {text[0]!r}: name their format with "
            "dataset.time_format=s, ms, us, ns or a strftime format like '%d.%m.%Y %H:%M'."
        )
    zoned = best.endswith(("%#z", "%:z", "%z", "%Z", "%+", "Z", "UTC"))
    parsed = column.cast(pl.String).str.to_datetime(best, time_unit="us", strict=False)
    return _in_utc(parsed, None if zoned else time_zone)


def _in_utc(time: pl.Expr, zone: str | None) -> pl.Expr:
    if zone not in (None, "UTC"):
        # An hour that a clock shows twice is taken as the first one; one that it skips is no time.
        time = time.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return time.dt.epoch("us")


def _unit(numbers: pl.Series) -> str:
    """The unit of epoch times, by the size of the middle one: seconds until the year 5138."""
    middle = float(numbers.sort()[(len(numbers) - 1) // 2])
    return next((unit for unit, limit in (("s", 1e11), ("ms", 1e14), ("us", 1e17)) if middle < limit), "ns")


def duration(option: str, text: Any) -> int:
    """`30m` as µs.

    Raises:
        OptionError: unless it is a positive number with one of the units s, m, h, d.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", str(text))
    if not match or not float(match[1]):
        raise OptionError(option, text, "a duration such as 30m, 90s, 2h or 1d")
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]]
    return round(float(match[1]) * seconds * 1_000_000)


def moment(option: str, text: Any) -> int:
    """An ISO date or time as µs since 1970; without a zone it is UTC.

    Raises:
        OptionError: unless it is one.
    """
    try:
        date = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise OptionError(option, text, "a date such as 2014-09-29 or 2014-09-29T12:00") from error
    return (date.replace(tzinfo=date.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def stamp(time: int) -> str:
    """A time in µs as ISO text, UTC."""
    return (datetime(1970, 1, 1) + timedelta(microseconds=time)).isoformat(sep=" ", timespec="seconds")
