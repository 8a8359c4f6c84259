"""Times of a click log: any common form is read as µs since 1970 in UTC."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from srgnn.errors import ArgumentError, UserError

SECOND = 1_000_000  # in µs, the unit of every time here
DAY = 86_400 * SECOND
UNITS = {"s": SECOND, "ms": 1000, "us": 1, "ns": 0.001}  # of epoch times, in µs
FORMATS = (
    *("%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f%#z"),
    *("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f UTC", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d"),
    *("%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%Y%m%d", "%Y%m%d%H%M%S", "%Y%m%d%H%M"),
)
EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 and 9999: others overflow a datetime
WEB = 631_152_000_000_000  # 1990: no click is older


def reader(sample: pl.Series, time_format: str | None = None, time_zone: str = "UTC") -> pl.Expr:
    """The expression that reads a column of times as µs since 1970 in UTC; null where a value cannot be read.

    Args:
        sample: First values of the column, with its name.
        time_format: s, ms, us or ns since 1970, or a strftime format; None detects the one that reads most of the
            sample as times from 1990 to next year; times outside these years are then null.
        time_zone: The time zone of times that do not give one.

    Raises:
        ArgumentError: for an unknown format or zone.
        UserError: if no known format reads any of the sample.
    """
    _check_zone(time_zone)
    column = pl.col(sample.name)
    if sample.dtype.is_temporal():
        zone = getattr(sample.dtype, "time_zone", None)
        return _in_utc(column.cast(pl.Datetime("us", zone)), None if zone else time_zone)
    if not sample.dtype.is_numeric():  # text, or categories of text
        sample, column = sample.cast(pl.String), column.cast(pl.String)
    # A detected format must give plausible years: that tells the units apart, and 7/4/2014 from the year 7.
    limits = (EARLIEST, LATEST) if time_format else (WEB, moment("", datetime.now(UTC) + timedelta(days=366)))
    values = sample.drop_nulls()
    numbers = values.cast(pl.Float64, strict=False)
    if time_format in UNITS:
        return _in_units(column, sample.dtype, UNITS[time_format], limits)
    for unit in UNITS.values() if time_format is None else ():
        if len(values) and 2 * (numbers * unit).is_between(*limits).sum() >= len(values):
            return _in_units(column, sample.dtype, unit, limits)  # numbers of another unit become null
    text = values.cast(pl.String)

    def read(name: str) -> pl.Series:
        try:
            found = text.str.to_datetime(name, time_unit="us", strict=False)
        except pl.exceptions.PolarsError as error:
            reason = str(error).splitlines()[0]
            raise ArgumentError("time_format", name, f"s, ms, us, ns or a strftime format ({reason})") from error
        return found.filter(found.dt.epoch("us").is_between(*limits))

    if time_format is not None and re.search("%[Zs]", time_format):
        raise ArgumentError(
            "time_format", time_format, "%z instead of %Z, whose names are ambiguous, and s instead of %s"
        )
    # Of equally good formats, the first one.
    best = max([time_format] if time_format else FORMATS, key=lambda name: len(read(name)))
    if len(text) and not len(read(best)):
        raise UserError(
            f"The times in the column {sample.name} cannot be read, such as {text[0]!r}: name their format with "
            "time_format=s, ms, us, ns or a strftime format like '%d.%m.%Y %H:%M'.",
            "time_format",
        )
    zoned = getattr(read(best).dtype, "time_zone", None) is not None or best.endswith(("Z", "UTC"))
    parsed = column.cast(pl.String).str.to_datetime(best, time_unit="us", strict=False)
    return _in_utc(parsed, None if zoned else time_zone, limits)


def _check_zone(time_zone: str) -> None:
    try:
        pl.select(pl.lit(0).cast(pl.Datetime("us")).dt.replace_time_zone(time_zone))
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise ArgumentError("time_zone", time_zone, "a name such as UTC or Europe/Berlin") from error


def _in_units(column: pl.Expr, dtype: pl.DataType, unit: float, limits: tuple[int, int]) -> pl.Expr:
    """Reads numbers in a unit that is given in µs; null outside the limits, which are in µs, too."""

    def times(kind: type[pl.DataType]) -> pl.Expr:
        number = column.cast(kind, strict=False)
        within = number.is_between(math.ceil(limits[0] / unit), math.floor(limits[1] / unit))
        return pl.when(within).then((number * unit).round()).cast(pl.Int64)

    if unit < 1 or not (dtype.is_integer() or dtype == pl.String):
        return times(pl.Float64)
    return pl.coalesce(times(pl.Int64), times(pl.Float64)) if dtype == pl.String else times(pl.Int64)


def _in_utc(time: pl.Expr, zone: str | None, limits: tuple[int, int] = (EARLIEST, LATEST)) -> pl.Expr:
    if zone not in (None, "UTC"):
        # Where the clocks repeat an hour, the first one counts; a time in an hour that they skip is null.
        time = time.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    time = time.dt.epoch("us")
    return pl.when(time.is_between(*limits)).then(time)


def duration(argument: str, text: Any) -> int:
    """A duration such as `30m` in µs.

    Raises:
        ArgumentError: if it is not a positive number with one of the units s, m, h, d.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", str(text))
    if not match or not float(match[1]):
        raise ArgumentError(argument, text, "a duration such as 30m, 90s, 2h or 1d")
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]]
    return round(float(match[1]) * seconds * SECOND)


def moment(argument: str, text: Any) -> int:
    """An ISO date or time in µs since 1970; UTC if it has no zone.

    Raises:
        ArgumentError: if it is not one.
    """
    try:
        date = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise ArgumentError(argument, text, "a date such as 2014-09-29 or 2014-09-29T12:00") from error
    return (date.replace(tzinfo=date.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def stamp(time: int) -> str:
    """A time in µs as ISO text in UTC, limited to the years 1 to 9999."""
    within = min(max(time, EARLIEST), LATEST)
    return (datetime(1970, 1, 1) + timedelta(microseconds=within)).isoformat(sep=" ", timespec="seconds")
