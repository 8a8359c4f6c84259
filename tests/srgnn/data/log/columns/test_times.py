import shlex
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from srgnn.data.log.columns.formats import find_format
from srgnn.data.log.columns.times import DAY, duration, moment, stamp
from srgnn.errors import ArgumentError, UserError

NOON = moment("", "2014-04-07T12:00")


def read(values: list, *options) -> list[str | None]:
    sample = pl.Series("time", values)
    found = sample.to_frame().select(find_format(sample, *options).reader).to_series().to_list()
    return [None if time is None else stamp(time) for time in found]


@pytest.mark.parametrize(
    "value",
    [
        *("2014-04-07T12:00:00.000Z", "2014-04-07T12:00:00Z", "2014-04-07T12:00:00", "2014-04-07 12:00:00.000"),
        *("2014-04-07T14:00:00+02:00", "2014-04-07 05:00:00-0700", "2014-04-07 12:00:00 UTC", "2014-04-07 12:00"),
        *(
            "2014/04/07 12:00:00",
            "20140407120000",
            "201404071200",
            "1396872000",
            "1396872000.0",
            "1396872000000",
            "1396872000000000",
            1396872000,
        ),
        *(1396872000.0, 1396872000_000_000_000, pl.Series([NOON]).cast(pl.Datetime("us"))[0]),
    ],
)
def test_every_common_form_is_the_same_moment(value):
    assert read([value]) == ["2014-04-07 12:00:00"]


@pytest.mark.parametrize("value", ["2014-04-07", "20140407", "2014/04/07", date(2014, 4, 7)])
def test_a_date_is_its_midnight(value):
    assert read([value]) == ["2014-04-07 00:00:00"]


@pytest.mark.parametrize("kind", [str, float, Decimal])
def test_fractions_of_a_second_count(kind):
    sample = pl.Series("time", [kind("1396872000.25"), kind("1396872000")])
    assert sample.to_frame().select(find_format(sample).reader).to_series().to_list() == [NOON + 250_000, NOON]


def test_the_zone_applies_to_times_without_one():
    berlin = ["2014-03-30 02:30:00", "2014-10-26 02:30:00", "2014-07-01 12:00:00"]
    # The clocks skipped the first time, and showed the second one twice.
    assert read(berlin, None, "Europe/Berlin") == [None, "2014-10-26 00:30:00", "2014-07-01 10:00:00"]
    assert read(["2014-07-01T12:00:00Z"], None, "Europe/Berlin") == ["2014-07-01 12:00:00"]
    zoned = pl.Series("time", ["2014-07-01 12:00:00"]).str.to_datetime().dt.replace_time_zone("Europe/Berlin")
    assert zoned.to_frame().select(find_format(zoned).reader).to_series().to_list() == [moment("", "2014-07-01T10:00")]


def test_an_unreadable_time_is_null_and_never_a_wrong_time():
    assert read(["2014-04-07", "yesterday", None, "2014-02-30"]) == ["2014-04-07 00:00:00", None, None, None]
    huge = ["9223372036854775807", "-9223372036854775808", "1e300"]
    assert read(["x", *huge, *["1396872000"] * 5])[:4] == [None] * 4
    assert read([-(2**63), 2**63 - 1, 1396872000], "us") == [None, None, "1970-01-01 00:23:16"]
    assert read([-(2**63), *[1396872000] * 2])[0] is None


def test_a_number_in_a_different_unit_from_most_is_null():
    assert read(["1396872000000", "1396872000000", "1396872000"])[2] is None
    assert read(["60", "-60"], "s") == ["1970-01-01 00:01:00", "1969-12-31 23:59:00"]  # unless the unit is given


@pytest.mark.parametrize("value", ["07/04/14", "14-04-07"])
def test_a_format_that_gives_implausible_years_is_not_detected(value):
    with pytest.raises(UserError, match=f"such as '{value}': name their format"):
        read([value])
    assert read(["1014-04-07"], "%Y-%m-%d") == ["1014-04-07 00:00:00"]


@pytest.mark.parametrize(
    ("value", "sentence", "expected"),
    [
        ("2051-04-07 12:00:00", "in the future, 2051-04-07 12:00:00 by the format", "2051-04-07 12:00:00"),
        ("4102444800", r"in the future, 2100-01-01 00:00:00 by the format s", "2100-01-01 00:00:00"),
        (60, "before 1990, 1970-01-01 00:01:00 by the format s", "1970-01-01 00:01:00"),
        ("1969-07-20T20:17:00+00:00", "before 1990, 1969-07-20 20:17:00 by the format", "1969-07-20 20:17:00"),
        (datetime(2051, 4, 7, 12), "in the future, 2051-04-07 12:00:00 by the format us", "2051-04-07 12:00:00"),
    ],
)
def test_times_in_the_future_or_before_1990_are_taken_with_the_format_that_the_error_names(value, sentence, expected):
    with pytest.raises(UserError, match=sentence) as error:
        read([value])
    command = shlex.split(str(error.value).partition(" are with ")[2])[0]
    option = OverridesParser.create().parse_override(command.removesuffix(","))  # as Hydra reads it
    assert read([value], option.value()) == [expected]


def test_spaces_around_times_do_not_count():
    assert read([" 2014-04-07 12:00:00", "2014-04-07 12:00:00 "]) == ["2014-04-07 12:00:00"] * 2
    assert read([" 1396872000"]) == ["2014-04-07 12:00:00"]


def test_datetimes_that_a_wrong_clock_shows_are_null():
    assert read([datetime(2014, 4, 7), datetime(2061, 4, 7), datetime(1970, 1, 1)]) == [
        "2014-04-07 00:00:00",
        None,
        None,
    ]


@pytest.mark.parametrize("value", [time(12), timedelta(hours=12)])
def test_a_time_of_day_is_no_moment(value):
    with pytest.raises(
        UserError, match=r"column time holds .*, which is no moment: name another with columns\.time=NAME"
    ):
        read([value])


def test_categories_of_text_are_text():
    for dtype in (pl.Categorical(), pl.Enum(["2014-04-07"])):
        sample = pl.Series("time", ["2014-04-07"], dtype=dtype)
        assert sample.to_frame().select(find_format(sample).reader).to_series().to_list() == [moment("", "2014-04-07")]


def test_a_unit_or_a_format_can_be_given():
    assert read(["60"], "s") == ["1970-01-01 00:01:00"]
    assert read(["07.04.2014 12:00"], "%d.%m.%Y %H:%M") == ["2014-04-07 12:00:00"]


def test_wrong_formats_and_zones_are_reported():
    with pytest.raises(UserError, match=r"column time cannot be read, such as 'soon'.*time_format="):
        read(["soon"])
    with pytest.raises(ArgumentError, match=r"time_format=%Hh: .*specify both hour and minute"):
        read(["12h"], "%Hh")
    for zone in ("Mars", 5):
        with pytest.raises(ArgumentError, match=f"time_zone={zone}"):
            read(["1396872000"], None, zone)
    with pytest.raises(ArgumentError, match=r"time_format=.*%Z"):
        read(["2014-04-07 12:00 CET"], "%Y-%m-%d %H:%M %Z")


def test_a_format_with_a_zone_needs_no_other():
    assert read(["Apr 07 14:00 +0200 2014"], "%b %d %H:%M %z %Y", "Europe/Berlin") == ["2014-04-07 12:00:00"]


def test_a_stamp_stays_within_the_years_1_to_9999():
    assert stamp(-(2**63)) == "0001-01-01 00:00:00"
    assert stamp(2**63) == "9999-12-31 23:59:59"


def test_durations():
    assert duration("session_gap", "30m") == 30 * 60 * 1_000_000
    assert duration("session_gap", "1.5d") == 1.5 * DAY
    for wrong in ("30", "m", "0m", "-1h", "soon"):
        with pytest.raises(ArgumentError, match="session_gap"):
            duration("session_gap", wrong)


def test_the_name_of_a_zone_after_its_offset_is_not_read():
    for zone in ("", " (CEST)", " (Central European Summer Time)"):
        javascript = f"Tue Apr 01 2014 10:00:01 GMT+0200{zone}"
        assert read([javascript], "%a %b %d %Y %H:%M:%S GMT%z", "UTC") == ["2014-04-01 08:00:01"]
    for zone in ("+0200", "+0200 CEST", "+0200 +02", "+0200 CEST m=+0.001", "+0200 +0200 m=-12.5", "+0200 m=+1"):  # Go
        assert read([f"2014-04-01 10:00:01 {zone}"], "%Y-%m-%d %H:%M:%S%.f %z", "UTC") == ["2014-04-01 08:00:01"]


def test_the_id_of_a_zone_after_its_offset_is_not_read():
    of_java = ["2014-04-07T13:00:00+01:00[Europe/London]", "2014-04-07T09:00:00.5-03:00[America/Argentina/Salta]"]
    assert read(of_java) == ["2014-04-07 12:00:00"] * 2
    assert read(["2014-04-07T12:00Z[UTC]", "2014-04-07T00:00-12:00[Etc/GMT+12]"]) == ["2014-04-07 12:00:00"] * 2
    with pytest.raises(UserError, match="cannot be read"):
        read(["2014-04-07T13:00:00[Europe/London]"])  # an offset is missing: it may be one of two hours


@pytest.mark.parametrize(
    "values", [["2014040110", "2014043023"], [2014040110], [20140401.0, 20140430.0], ["20140401.0"]]
)
def test_dates_in_one_number_are_no_seconds(values: list):
    with pytest.raises(UserError, match="look like dates without signs between their parts: write them like") as error:
        read(values)
    assert "time_format" not in str(error.value)
    assert read([2014040110], "s") == ["2033-10-27 15:35:10"]  # if the user says so


def test_numbers_with_signs_between_the_thousands_are_no_times():
    with pytest.raises(UserError, match="before 1990"):
        read(["0.125", "12.340", "845.002"])
    for value in ("1,396,346,400", "1 396 346 400", "1.396.346.400"):
        with pytest.raises(UserError, match="signs between the thousands: leave these out"):
            read([value])


def test_times_with_a_decimal_comma_are_named_as_such():
    with pytest.raises(UserError, match="such as '1396310400,5', are numbers with a decimal comma: write a point"):
        find_format(pl.Series("time", ["1396310400,5", "1396310401,0"]))


@pytest.mark.parametrize("value", ["Tue Apr 01 10:00:01 CEST 2014", "2014-04-01 10:00:01 (IST)"])
def test_the_name_of_a_zone_alone_is_ambiguous(value: str):
    with pytest.raises(UserError, match=r"give their zone by a name that is ambiguous: write its offset instead"):
        read([value])
