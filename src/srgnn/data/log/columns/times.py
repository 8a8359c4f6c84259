"""Times of a click log: any common form is read as µs since 1970 in UTC."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from srgnn.data.log.columns.ids import BLANKS
from srgnn.errors import ArgumentError, UserError, typed

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
ALL = (EARLIEST, LATEST)
CALENDAR = (-2_208_988_800_000_000, 7_258_118_400_000_000)  # 1900 to 2200: dates that a wrong clock may show


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
        column = pl.col(self.column)
        if self.dtype.is_temporal():
            zone = getattr(self.dtype, "time_zone", None)
            return self._in_utc(column.cast(pl.Datetime("us", zone)), None if zone else self.zone)
        if not self.dtype.is_numeric():  # text, or categories of text
            column = column.cast(pl.String).str.strip_chars(BLANKS)
        if self.name in UNITS:
            is_whole = self.dtype.is_integer() or not self.dtype.is_numeric()
            return _in_units(column, self.dtype, UNITS[self.name], is_whole, self.limits)
        time = column.cast(pl.String).str.to_datetime(self.name, time_unit="us", strict=False)
        return self._in_utc(time, None if _gives_zone(self.name) else self.zone)

    def _in_utc(self, time: pl.Expr, zone: str | None) -> pl.Expr:
        if zone not in (None, "UTC"):
            # Where the clocks repeat an hour, the first one counts; a time in an hour that they skip is null.
            time = time.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        time = time.dt.epoch("us")
        return pl.when(time.is_between(*self.limits)).then(time)


def find_format(sample: pl.Series, time_format: str | None = None, time_zone: str = "UTC") -> TimeFormat:
    """Finds out how the times of a column are written.

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
    if sample.dtype in (pl.Time, pl.Duration):
        raise UserError(
            f"The column {sample.name} holds {sample.dtype}, which is no moment: name another with columns.time=NAME.",
            "columns.time",
        )
    if time_format is not None:
        _check_format(time_format)
        # A unit is taken as it is; its other values are reported with their lines.
        name = time_format if time_format in UNITS or sample.dtype.is_temporal() else _detect(sample, ALL, time_format)
    else:
        name = detect(sample, plausible())
    if name is None:
        raise _unreadable(sample, time_format)
    limits = plausible() if time_format is None else ALL
    return TimeFormat(sample.name, sample.dtype, name, time_zone, limits)


def detect(sample: pl.Series, limits: tuple[int, int]) -> str | None:
    """The first format that reads most of a sample as times within the limits, in µs since 1970; None if none does.

    The limits tell the units apart, and 7/4/2014 from the year 7.
    """
    return _detect(sample, limits, *UNITS, *FORMATS)


def plausible() -> tuple[int, int]:
    """The years of times in a format that is detected: 1990 to next year."""
    return WEB, moment("", datetime.now(UTC) + timedelta(days=366))


def _detect(sample: pl.Series, limits: tuple[int, int], *names: str) -> str | None:
    def count(name: str) -> int:
        reader = TimeFormat(sample.name, sample.dtype, name, "UTC", limits).reader
        return int(values.select(reader.is_not_null().sum()).item())

    values = sample.drop_nulls().to_frame()
    if sample.dtype.is_temporal():
        return "us" if not len(values) or count("us") else None
    for unit in UNITS:
        if unit in names and len(values) and 2 * count(unit) >= len(values):
            return unit  # numbers of another unit become null
    best = max((name for name in names if name not in UNITS), key=count)
    return best if not len(values) or count(best) else None


def _check_format(time_format: str) -> None:
    if time_format in UNITS:
        return
    if re.search("%[Zs]", time_format):
        raise ArgumentError(
            "time_format", time_format, "%z instead of %Z, whose names are ambiguous, and s instead of %s"
        )
    try:
        _gives_zone(time_format)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise ArgumentError("time_format", time_format, f"s, ms, us, ns or a strftime format ({reason})") from error


def _gives_zone(time_format: str) -> bool:
    example = pl.select(pl.lit("").str.to_datetime(time_format, time_unit="us", strict=False)).to_series()
    return getattr(example.dtype, "time_zone", None) is not None or time_format.endswith(("Z", "UTC"))


def _check_zone(time_zone: str) -> None:
    try:
        pl.select(pl.lit(0).cast(pl.Datetime("us")).dt.replace_time_zone(time_zone))
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise ArgumentError("time_zone", time_zone, "a name such as UTC or Europe/Berlin") from error


def _unreadable(sample: pl.Series, time_format: str | None) -> UserError:
    values = sample.drop_nulls()
    name = None if time_format else detect(values, CALENDAR)
    if name is None:
        by = f" with time_format={typed(time_format)}" if time_format else ""
        text = (
            f"The times in the column {sample.name} cannot be read{by}, such as {str(values[0])!r}: name their format"
        )
    else:
        frame = values.to_frame().select(TimeFormat(sample.name, sample.dtype, name, "UTC", CALENDAR).reader)
        place = frame.to_series().is_not_null().arg_max() or 0
        time = frame.item(place, 0)
        when = f"{'before 1990' if time < WEB else 'in the future'}, {stamp(time)} by the format {name}"
        text = (
            f"The times in the column {sample.name}, such as {str(values[place])!r}, are {when}: "
            f"take them as they are with time_format={typed(name)}, or name their format"
        )
    return UserError(
        f"{text} with time_format=s, ms, us, ns or a strftime format like '%d.%m.%Y %H:%M'.", "time_format"
    )


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
