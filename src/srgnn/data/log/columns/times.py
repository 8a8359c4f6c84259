"""Times of a click log: any common form is read as µs since 1970 in UTC."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from srgnn.data.log.columns.ids import BLANKS
from srgnn.errors import ArgumentError

SECOND = 1_000_000  # in µs, the unit of every time here
DAY = 86_400 * SECOND
UNITS = {"s": SECOND, "ms": 1000, "us": 1, "ns": 0.001}  # of epoch times, in µs
EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 and 9999: others overflow a datetime
WEB = 631_152_000_000_000  # 1990: no click is older
ALL = (EARLIEST, LATEST)
GIVEN = (-59_011_459_200_000_000, LATEST)  # the years 100 to 9999: %Y reads the year 14 where 2014 is written as 14
# What follows an offset, as in `+0200 (Central European Summer Time)` or, of Go, `+0300 +03 m=+0.001`.
ZONE_NAME = r"(?:([+-]\d{4})\s+[+-]\d{2,4}|\s+(?:\([^()]*\)|[A-Z]{2,5}))?(?:\s+m=[+-][\d.]+)?$"
ZONE_ID = r"\[\w+(?:/[\w+-]+)*\]$"  # what Java writes after an offset, as in `+01:00[Europe/London]`
IN_UTC = ("Z", "UTC", "GMT", "[UTC]")  # ends of formats that give a zone without %z


@dataclass(frozen=True)
class TimeFormat:
    """How the times of a column are written.

    Args:
        column: Name of the column.
        dtype: Its type.
        name: s, ms, us or ns since 1970, or a strftime format; any of them for a column of datetimes, which need none.
        zone: The time zone of times that do not give one.
        limits: The first and last time that count, in µs since 1970.
    """

    column: str
    dtype: pl.DataType
    name: str
    zone: str
    limits: tuple[int, int]

    @property
    def reader(self) -> pl.Expr:
        """The expression that reads the column as µs since 1970 in UTC; null where a value cannot be read."""
        if self.name in UNITS and not self.dtype.is_temporal():
            is_whole = self.dtype.is_integer() or not self.dtype.is_numeric()
            return _in_units(self._stripped, self.dtype, UNITS[self.name], is_whole, self.limits)
        local, zone = self._local
        if zone not in (None, "UTC"):
            # Where the clocks repeat an hour, the first one counts; a time in an hour that they skip is null.
            local = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        time = local.dt.epoch("us")
        return pl.when(time.is_between(*self.limits)).then(time)

    @property
    def is_repeated(self) -> pl.Expr | None:
        """The condition that a time is in an hour that the clocks repeat; None if the zone has no such hours."""
        if self.name in UNITS and not self.dtype.is_temporal():
            return None
        local, zone = self._local
        if zone in (None, "UTC"):
            return None
        unclear = local.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
        return unclear.is_null() & self.reader.is_not_null()

    @property
    def _stripped(self) -> pl.Expr:
        column = pl.col(self.column)
        return column if self.dtype.is_numeric() else column.cast(pl.String).str.strip_chars(BLANKS)

    @property
    def _local(self) -> tuple[pl.Expr, str | None]:
        """The expression for the column as datetimes, and the zone that they are in if they give none."""
        if self.dtype.is_temporal():
            zone = getattr(self.dtype, "time_zone", None)
            return pl.col(self.column).cast(pl.Datetime("us", zone)), None if zone else self.zone
        text = self._stripped.cast(pl.String) if self.dtype.is_numeric() else self._stripped
        if self.name.endswith("%z"):
            text = text.str.replace(ZONE_NAME, "${1}")
        elif self.name.endswith("%#z"):
            text = text.str.replace(ZONE_ID, "")
        time = text.str.to_datetime(self.name, time_unit="us", strict=False)
        return time, None if gives_zone(self.name) else self.zone


def plausible() -> tuple[int, int]:
    """The years of times in a format that is detected: 1990 to next year."""
    return WEB, moment("", datetime.now(UTC) + timedelta(days=366))


def gives_zone(time_format: str) -> bool:
    """Whether times in a strftime format give their zone.

    Raises:
        PolarsError: for a format that does not give a date, or is none.
    """
    example = pl.select(pl.lit("").str.to_datetime(time_format, time_unit="us", strict=False)).to_series()
    return getattr(example.dtype, "time_zone", None) is not None or time_format.endswith(IN_UTC)


def _in_units(column: pl.Expr, dtype: pl.DataType, unit: float, is_whole: bool, limits: tuple[int, int]) -> pl.Expr:
    """Reads numbers in a unit that is given in µs; null outside the limits, which are in µs, too."""

    def times(kind: type[pl.DataType]) -> pl.Expr:
        number = column.cast(kind, strict=False)
        within = number.is_between(math.ceil(limits[0] / unit), math.floor(limits[1] / unit))
        return pl.when(within).then((number * unit).round()).cast(pl.Int64)

    if unit < 1 or not is_whole:
        return times(pl.Float64)
    return times(pl.Int64) if dtype.is_integer() else pl.coalesce(times(pl.Int64), times(pl.Float64))


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
