"""Which formats of times are detected, and what an error says about the others."""

import re
import shlex
from datetime import datetime

import polars as pl
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from srgnn.data.log.columns.formats import find_format
from srgnn.data.log.columns.times import moment, stamp
from srgnn.errors import ArgumentError, UserError

OPTION = re.compile(r"""time_format=('(?:[^']|'\\'')*'|"[^"]*"|[^\s,]+?)(?=,? or |,? take|[.,]?$)""")


def read(values: list, *options) -> list[str | None]:
    sample = pl.Series("time", values)
    found = sample.to_frame().select(find_format(sample, *options).reader).to_series().to_list()
    return [None if time is None else stamp(time) for time in found]


def suggested(error: UserError) -> list[str]:
    """The formats that an error names, as a shell and Hydra read them."""
    parser = OverridesParser.create()
    words = OPTION.findall(str(error))
    return [parser.parse_override(f"time_format={shlex.split(word)[0]}").value() for word in words]


@pytest.mark.parametrize(
    "value",
    [
        *("2014-04-01 10:00:00,123", "2014-04-01T10:00:00,123", "2014-04-01 10:00:00,123456"),
        *("2014-04-01 10:00:00.123456789", "2014-04-01T12:00:00+0200", "2014-04-01 10:00:00+00"),
        *("2014-04-01 10:00:00 AM", "2014-04-01 10:00 am", "2014.04.01 10:00:00", "2014/04/01 10:00:00.5"),
        *("01/Apr/2014:10:00:00 +0000", "[01/Apr/2014:12:00:00 +0200]", "Tue, 01 Apr 2014 10:00:00 GMT"),
        *("Tue, 1 Apr 2014 12:00:00 +0200", "Tue Apr  1 10:00:00 2014", "Tue Apr 01 10:00:00 +0000 2014"),
        *("Tue Apr  1 10:00:00 UTC 2014", "Tue Apr 01 2014 10:00:00 GMT+0000 (UTC)", "2014-04-01 10:00:00 GMT"),
        *("2014-04-01 10:00:00 +0000 UTC", "2014-04-01T10:00:00.000Z[UTC]", "2014-04-01T10:00:00+00:00[UTC]"),
        *("20140401T100000Z", "20140401 10:00:00", "20140401100000123", "2014-04-01-10.00.00.000000"),
        *("Apr 1, 2014 10:00:00 AM", "April 1, 2014 10:00", "1 Apr 2014 10:00:00", "Apr 1, 2014, 10:00:00 AM"),
        *("01-Apr-2014 10:00:00", "1 April 2014 10:00", "1.39634640E9"),
    ],
)
def test_formats_that_can_be_read_in_one_way_only_are_detected(value: str):
    assert read([value]) == ["2014-04-01 10:00:00"]


@pytest.mark.parametrize(
    ("winter", "summer"),
    [
        ("2014-03-01T10:00:00Z", "2014-04-01T11:00:00+01:00"),
        ("2014-03-01T10:00:00.5Z", "2014-04-01T11:00:00.5+0100"),
        ("2014-03-01 10:00:00Z", "2014-04-01 11:00:00+01:00"),
        ("2014-03-01T10:00Z", "2014-04-01T11:00+01:00"),
        ("20140301T100000Z", "20140401T110000+0100"),
        ("2014-03-01T10:00:00Z[UTC]", "2014-04-01T11:00:00+01:00[UTC]"),
    ],
)
def test_an_offset_may_come_after_any_number_of_times_in_utc(winter: str, summer: str):
    values = pl.Series("time", [winter, summer])
    for first in (values[:1], values[1:]):
        times = values.to_frame().select(find_format(first).reader).to_series().to_list()
        assert [stamp(time) for time in times] == ["2014-03-01 10:00:00", "2014-04-01 10:00:00"]


def test_times_in_utc_stay_there():
    for value in ("2014-07-01 10:00:00 GMT", "Tue, 01 Jul 2014 10:00:00 GMT", "2014-07-01T10:00:00.0Z[UTC]"):
        assert read([value], None, "Europe/Berlin") == ["2014-07-01 10:00:00"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["03/04/2014"], ["2014-04-03 00:00:00", "2014-03-04 00:00:00"]),
        (["03/04/2014", "13/04/2014"], ["2014-04-03 00:00:00"]),
        (["1/13/2014 1:05 PM"], ["2014-01-13 13:05:00"]),
        (["01.04.2014 10:00:00"], ["2014-04-01 10:00:00", "2014-01-04 10:00:00"]),
        (["14-04-01 10:00"], ["2001-04-14 10:00:00", "2014-04-01 10:00:00"]),
        (["1-Apr-14"], ["2014-04-01 00:00:00", "2001-04-14 00:00:00"]),
        (["13-APR-32 10.00.00.000000 AM"], ["2013-04-30 10:00:00"][:0]),  # the year 2032 or no day: no guess
        (["30-APR-14 10.00.00.000000 AM"], ["2014-04-30 10:00:00"]),
    ],
)
def test_formats_that_can_be_read_in_several_ways_are_named_and_not_taken(values: list[str], expected: list[str]):
    with pytest.raises(UserError, match=f"such as '{values[0]}': name their format with time_format=") as error:
        read(values)
    if expected:
        assert [read(values, name)[0] for name in suggested(error.value)] == expected


@pytest.mark.parametrize(
    ("value", "words", "time"),
    [
        ("41730.5", "days since 1900, as spreadsheets store dates", "2014-04-01 12:00:00"),
        (41730, "days since 1900, as spreadsheets store dates", "2014-04-01 00:00:00"),
        (16161, "days since 1970", "2014-04-01 00:00:00"),
        (387_874, "hours since 1970", "2014-04-01 10:00:00"),
        ("23272440", "minutes since 1970", "2014-04-01 10:00:00"),
        ("2456749", "Julian days", "2014-04-01 12:00:00"),
        (635_319_504_000_000_000, "ticks of 100 ns since the year 1, as .NET counts them", "2014-04-01 12:00:00"),
        ("130408272000000000", "units of 100 ns since 1601, as Windows counts them", "2014-04-01 12:00:00"),
        (13_040_827_200_000_000, "µs since 1601, as Chrome counts them", "2014-04-01 12:00:00"),
        (3_479_198_400, "seconds since 1904, as old Macs count them", "2014-04-01 12:00:00"),
    ],
)
def test_times_that_are_counted_in_another_way_are_explained(value, words: str, time: str):
    with pytest.raises(UserError) as error:
        read([value])
    sentence = f"The times in the column time, such as '{value}', look like {words}: write them as dates, here {time}"
    assert str(error.value).startswith(sentence)
    for name in suggested(error.value):
        assert read([value], name) == [stamp(round(float(value) * 1e6))]


def test_nanoseconds_are_no_ticks():
    assert read([moment("", "2014-04-01T10:00") * 1000]) == ["2014-04-01 10:00:00"]
    assert read([635_319_504_000_000_000], "ns") == ["1990-02-18 05:38:24"]


@pytest.mark.parametrize("value", ["10:00:00", "9:05", "10:00:00.5", "1:05 PM"])
def test_a_time_of_day_needs_its_date(value: str):
    with pytest.raises(UserError, match=f"such as '{value}', have no date: write date and time into one column"):
        read([value])


def test_a_format_that_is_given_reads_no_years_of_two_digits():
    assert read(["01/04/2014", "02/04/14"], "%d/%m/%Y") == ["2014-04-01 00:00:00", None]
    with pytest.raises(UserError, match=r"with time_format=%d/%m/%Y, such as '30/04/14': .*time_format=%d/%m/%y\.$"):
        read(["30/04/14"], "%d/%m/%Y")


def test_a_wrong_format_is_answered_with_the_one_that_fits():
    with pytest.raises(UserError, match=r"with time_format=%Y-%m-%d, such as '1396310400': name .* time_format=s\.$"):
        read(["1396310400"], "%Y-%m-%d")


def test_the_fraction_of_a_second_is_not_read_as_nanoseconds():
    with pytest.raises(ArgumentError, match=r"expected %\.f .* or %3f for milliseconds, instead of %f"):
        read(["2014-04-01 10:00:00,123"], "%Y-%m-%d %H:%M:%S,%f")


@pytest.mark.parametrize("dtype", [pl.Float16, pl.Float32])
def test_floats_too_short_for_a_time_are_refused(dtype):
    with pytest.raises(UserError, match=r"time holds Float\d\d, too short for a time"):
        find_format(pl.Series("time", [1.0], dtype))


def test_times_in_single_quotes_lead_to_the_option():
    with pytest.raises(
        UserError, match=r"such as .*, are in single quotes: read a text file without .* quote="
    ) as error:
        read(["'2014-04-01'", None, "'2014-04-02'"])
    word = str(error.value).partition("quote=")[2].partition(";")[0]
    assert OverridesParser.create().parse_override(f"quote={shlex.split(word)[0]}").value() == "'"


@pytest.mark.parametrize("year", [100, 1800, 1899, 2201, 2999, 9999])
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%d/%b/%Y:%H:%M:%S +0000", None])
def test_times_of_any_year_lead_to_the_format_that_takes_them(year: int, form: str | None):
    time = datetime(year, 4, 1, 10)
    value = time if form is None else time.strftime(form.replace("%Y", f"{year:04d}"))
    words = "before 1990" if year < 1990 else "in the future"
    with pytest.raises(
        UserError, match=rf", are {words}, {time} by the format .*: take them as they are with"
    ) as error:
        read([value])
    assert read([value], suggested(error.value)[0]) == [str(time)]
