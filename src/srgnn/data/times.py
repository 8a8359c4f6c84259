"""Times of a click log: read from any common form as µs since 1970 in UTC."""

import math
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
    *("%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%Y%m%d", "%Y%m%d%H%M%S", "%Y%m%d%H%M"),
)
EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999  # of the years 1 and 9999: none may overflow
WEB = 631_152_000_000_000  # 1990: no click is older


def reader(sample: pl.Series, time_format: str | None = None, time_zone: str = "UTC") -> pl.Expr:
    """The expression that reads the column of `sample` as µs since 1970 in UTC; null where it cannot.

    Args:
        sample: Some of the column's values, which tell the form of all of them.
        time_format: s, ms, us or ns since 1970, or a strftime format; None finds one that reads most times as of 1990
            to next year, and reads no others.
        time_zone: Of times without a zone.

    Raises:
        OptionError: for a format or a zone that there is not.
        UserError: when no known format reads any of the sample.
    """
    _check_zone(time_zone)
    column = pl.col(sample.name)
    if sample.dtype.is_temporal():
        zone = getattr(sample.dtype, "time_zone", None)
        return _in_utc(column.cast(pl.Datetime("us", zone)), None if zone else time_zone)
    if not sample.dtype.is_numeric():  # text, or categories of text
        sample, column = sample.cast(pl.String), column.cast(pl.String)
    # What is guessed must be plausible: it tells the unit of a number, and 7/4/2014 from the year 7.
    limits = (EARLIEST, LATEST) if time_format else (WEB, moment("", datetime.now(UTC) + timedelta(days=366)))
    values = sample.drop_nulls()
    numbers = values.cast(pl.Float64, strict=False)
    if time_format in UNITS:
        return _in_units(column, sample.dtype, UNITS[time_format], limits)
    for unit in UNITS.values() if time_format is None else ():
        if len(values) and 2 * (numbers * unit).is_between(*limits).sum() >= len(values):
            return _in_units(column, sample.dtype, unit, limits)  # a number of another unit is no time
    text = values.cast(pl.String)

    def read(name: str) -> pl.Series:
        try:
            found = text.str.to_datetime(name, time_unit="us", strict=False)
        except pl.exceptions.PolarsError as error:
            why = str(error).splitlines()[0]
            raise OptionError("time_format", name, f"s, ms, us, ns or a strftime format ({why})") from error
        return found.filter(found.dt.epoch("us").is_between(*limits))

    if time_format is not None and re.search("%[Zs]", time_format):
        raise OptionError("time_format", time_format, "no %Z, whose names are ambiguous, but %z; and s instead of %s")
    best = max([time_format] if time_format else FORMATS, key=lambda name: len(read(name)))  # the first of equals
    if len(text) and not len(read(best)):
        raise UserError(
            f"The times in the column {sample.name} cannot be read, such as {text[0]!r}: name their format with "
            "dataset.time_format=s, ms, us, ns or a strftime format like '%d.%m.%Y %H:%M'."
        )
    zoned = getattr(read(best).dtype, "time_zone", None) is not None or best.endswith(("Z", "UTC"))
    parsed = column.cast(pl.String).str.to_datetime(best, time_unit="us", strict=False)
    return _in_utc(parsed, None if zoned else time_zone, limits)


def _check_zone(time_zone: str) -> None:
    try:
        pl.select(pl.lit(0).cast(pl.Datetime("us")).dt.replace_time_zone(time_zone))
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise OptionError("time_zone", time_zone, "a name such as UTC or Europe/Berlin") from error


def _in_units(column: pl.Expr, dtype: pl.DataType, unit: float, limits: tuple[int, int]) -> pl.Expr:
    """Numbers in a unit of so many µs; null where they are not within the limits, in µs."""

    def times(kind: type[pl.DataType]) -> pl.Expr:
        number = column.cast(kind, strict=False)
        within = number.is_between(math.ceil(limits[0] / unit), math.floor(limits[1] / unit))
        return pl.when(within).then((number * unit).round()).cast(pl.Int64)

    if unit < 1 or not (dtype.is_integer() or dtype == pl.String):
        return times(pl.Float64)
    return pl.coalesce(times(pl.Int64), times(pl.Float64)) if dtype == pl.String else times(pl.Int64)


def _in_utc(time: pl.Expr, zone: str | None, limits: tuple[int, int] = (EARLIEST, LATEST)) -> pl.Expr:
    if zone not in (None, "UTC"):
        # An hour that a clock shows twice is taken as the first one; one that it skips is no time.
        time = time.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    time = time.dt.epoch("us")
    return pl.when(time.is_between(*limits)).then(time)


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
    """A time in µs as ISO text, UTC; the years end at 1 and 9999."""
    within = min(max(time, EARLIEST), LATEST)
    return (datetime(1970, 1, 1) + timedelta(microseconds=within)).isoformat(sep=" ", timespec="seconds")
