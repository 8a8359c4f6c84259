"""Warnings about times, sessions and sets: what triggers each, and that its remedy works."""

from pathlib import Path

import pytest
from click_logs import DAY, START, load, raw, stamp

from srgnn.errors import UserError

HOUR = 3600


def write(path: Path, rows: list[tuple]) -> Path:
    path.write_text("session,item,time\n" + "".join(f"{s},{i},{t}\n" for s, i, t in rows))
    return path


def visits(number: int, begin: int = START) -> list[tuple]:
    """Visits of three clicks, one a day."""
    return [(f"v{n}", "abc"[i], begin + n * DAY + i * 60) for n in range(number) for i in range(3)]


def texts(data) -> list[str]:
    return [notice["text"] for notice in data.manifest["notices"]]


def test_an_ordinary_log_has_no_warnings(tmp_path: Path):
    assert texts(load(tmp_path, "clicks", write(tmp_path / "log.csv", visits(20)))) == []  # all in whole minutes


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (["2014-04-01", "2014-04-01", "2014-04-01", "2014-04-01"], "days"),
        (["2014-04-01 10:00", "2014-04-01 10:00", "2014-04-01 10:00", "2014-04-01 10:00"], "hours"),
        (["2014-04-01 10:05", "2014-04-01 10:05", "2014-04-01 10:05", "2014-04-01 10:06"], "minutes"),
        (["2014-04-01 10:05:07", "2014-04-01 10:05:07", "2014-04-01 10:05:07", "2014-04-01 10:05:08"], "seconds"),
    ],
)
def test_in_coarse_times_no_click_is_dropped_as_a_duplicate(tmp_path: Path, times: list[str], unit: str):
    rows = [("1", item, time) for item, time in zip("ABAC", times, strict=True)]
    rows += [(s, i, time.replace("-04-", "-05-")) for s in "23" for _, i, time in rows]
    path = write(tmp_path / "log.csv", rows)
    data = load(tmp_path, "clicks", path)
    assert raw(data, "train") == [[*"ABAC"]]
    *order, duplicates = texts(data)
    assert duplicates.startswith("Rows that repeat the session, item and time of another one: 3; they are kept")
    assert "in times of whole seconds or coarser ones" in duplicates
    assert [text.startswith(f"The times are whole {unit}: ") for text in order] == [True] * (unit != "seconds")
    dropped = load(tmp_path, "clicks", path, "dataset.rules.duplicates=drop")
    assert raw(dropped, "train") == [[*"ABC"]]
    assert len(texts(dropped)) == len(order)


def test_in_fine_times_and_with_an_order_duplicates_are_dropped(tmp_path: Path):
    rows = [("1", item, f"2014-04-01 10:00:00.{n}") for n, item in ((1, "A"), (2, "B"), (1, "A"), (3, "A"))]
    rows += [(2, i, time.replace("-04-", "-05-")) for _, i, time in rows]
    data = load(tmp_path, "clicks", write(tmp_path / "log.csv", rows))
    assert (raw(data, "train"), texts(data)) == ([[*"ABA"]], [])
    lines = [f"{s},{i},2014-0{s + 3}-01,{n}\n" for s in (1, 2) for i, n in (("A", 1), ("A", 3), ("B", 2), ("A", 1))]
    path = tmp_path / "ordered.csv"
    path.write_text("session,item,time,place\n" + "".join(lines))
    data = load(tmp_path, "clicks", path, "dataset.columns.order=place")
    assert (raw(data, "train"), texts(data)) == ([[*"ABA"]], [])


def test_duplicates_are_judged_one_by_one_where_only_a_part_of_the_times_is_fine(tmp_path: Path):
    rows = [("1", item, f"2014-04-01 10:00:0{t}") for item, t in (("A", "1"), ("B", "2"), ("A", "1"), ("B", "3.5"))]
    rows += [("1", "B", "2014-04-01 10:00:03.5"), ("2", "A", "2014-05-01 10:00:00"), ("2", "B", "2014-05-01 10:00:01")]
    data = load(tmp_path, "clicks", write(tmp_path / "log.csv", rows))
    assert raw(data, "train") == [[*"AABB"]]  # both clicks on A at 10:00:01 stay, one of B's at 10:00:03.5 is dropped
    assert [text.partition(" are kept")[0] for text in texts(data)] == [
        "Rows that repeat the session, item and time of another one: 1; they"
    ]
    one_fine = [*visits(40), visits(1)[0], ("v1", "b", "2014-04-02 00:02:00.5")]
    data = load(tmp_path, "clicks", write(tmp_path / "fine.csv", [(s, i, iso(t)) for s, i, t in one_fine]))
    assert raw(data, "train")[0] == [*"aabc"]


def iso(time) -> str:
    return time if isinstance(time, str) else stamp(time, "%Y-%m-%d %H:%M:%S")


def test_equal_items_of_one_list_are_no_duplicates(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    lines = [f'{{"session": {s}, "item": ["A", "B", "A"], "time": "2014-0{s}-01 10:00:00.5"}}\n' for s in (1, 2)]
    path.write_text("".join(lines))
    data = load(tmp_path, "clicks", path, "dataset.nested=item")
    assert raw(data, "train") == [[*"ABA"]]
    assert "in a list that has one time" in texts(data)[0]


def test_session_ids_that_start_anew_every_day_are_noticed_and_their_remedy_works(tmp_path: Path):
    # The ids 0 to 9 every day for three days; and 30 ordinary visits.
    rows = [(s, "ab"[c], START + day * DAY + s * 60 + c) for day in range(3) for s in range(10) for c in range(2)]
    path = write(tmp_path / "log.csv", rows + visits(30, START - 40 * DAY))
    (text,) = texts(load(tmp_path, "clicks", path))
    assert text.startswith("Sessions longer than a day: 10 of 40, up to 2.0 days; shorter than an hour: 30; if the ids")
    data = load(tmp_path, "clicks", path, "dataset.columns.user=session", "dataset.session_gap=30m")
    assert len(data.train) + len(data.test) == 60
    assert texts(data) == []


def test_session_ids_of_which_all_start_anew_are_noticed_too(tmp_path: Path):
    rows = [(s, "ab"[c], START + day * DAY + s * 60 + c) for day in range(9) for s in range(10 + day) for c in range(2)]
    (text,) = texts(load(tmp_path, "clicks", write(tmp_path / "log.csv", rows), "dataset.rules.test_days=0.0005"))
    assert text.startswith("Sessions longer than a day: 17 of 18, up to 8.0 days; shorter than an hour: 1; if the ids")


def test_robots_are_noticed_with_their_share_and_the_remedy_works(tmp_path: Path):
    path = write(tmp_path / "log.csv", visits(30) + [("bot", "abcd"[n % 4], START + n) for n in range(500)])
    (text,) = texts(load(tmp_path, "clicks", path))
    assert text.startswith(
        "Sessions of more than 200 clicks in the training set: 1 of 24, up to 500 clicks, with 100 % of the clicks in"
    )
    data = load(tmp_path, "clicks", path, "dataset.rules.max_session_length=200")
    assert (texts(data), int(data.train.lengths.max())) == ([], 200)
    data = load(tmp_path, "clicks", path, "dataset.rules.max_session_length=200", "dataset.rules.too_long=drop")
    assert (texts(data), int(data.train.lengths.max())) == ([], 3)


def test_one_time_for_all_clicks_of_a_session_is_noticed_however_fine_it_is(tmp_path: Path):
    rows = [(n, item, f"2014-04-{n:02} 10:00:00.{n}") for n in range(1, 25) for item in "ba"]
    data = load(tmp_path, "clicks", write(tmp_path / "log.csv", rows))
    assert raw(data, "train")[0] == [*"ba"]
    (text,) = texts(data)
    assert text.startswith(
        "Sessions whose clicks all have one time: 24 of 24; their clicks stay in the order of the log; "
    )


def test_a_visitor_who_comes_back_is_no_warning_unless_it_is_days_later(tmp_path: Path):
    for hours, number in ((30, 0), (80, 1)):
        late = [("v0", "c", START + hours * HOUR)]
        assert len(texts(load(tmp_path, "clicks", write(tmp_path / f"{hours}.csv", visits(200) + late)))) == number


def test_warnings_that_explain_an_error_stand_beside_it(tmp_path: Path):
    rows = [(s, "ab"[c], START + day * DAY + s * 60 + c) for day in range(14) for s in range(9) for c in range(2)]
    path = write(tmp_path / "log.csv", rows)
    with pytest.raises(UserError, match=r"split leaves 0 training.* Before that, .* dataset\.session_gap=30m"):
        load(tmp_path, "clicks", path)
    data = load(tmp_path, "clicks", path, "dataset.columns.user=session", "dataset.session_gap=30m")
    assert len(data.train) + len(data.test) == 14 * 9


@pytest.mark.parametrize("number", [60, 150])
def test_a_test_set_made_by_a_wrong_clock_is_noticed_and_the_remedies_work(tmp_path: Path, number: int):
    late = [("late", item, START + (number + 51) * DAY + 7) for item in "ab"]
    path = write(tmp_path / "log.csv", [*visits(number), *late])
    (text,) = texts(load(tmp_path, "clicks", path))
    assert text.startswith("Number of test sessions: only 1, from 20")
    assert f"those of training, {number}, end at 2014-" in text
    assert "if a clock is wrong" in text
    limit = START + (number + 1) * DAY
    data = load(tmp_path, "clicks", path, f"dataset.where='CAST(time AS BIGINT) < {limit}'")
    assert (texts(data), len(data.test)) == ([], 7)
    data = load(tmp_path, "clicks", path, "dataset.rules.test_from=2014-05-20")
    assert (texts(data), len(data.test)) == ([], number - 48)


def test_a_robot_in_the_test_set_is_noticed_and_a_dropped_duplicate_hides_no_warning(tmp_path: Path):
    rows = [(s, "ab"[c], f"2014-04-{day + 1:02} 10:0{s}:0{c}.5") for day in range(3) for s in range(9) for c in (0, 1)]
    rows += [(f"v{n}", "ab"[c], f"2014-03-{n + 1:02} 10:00:0{c}.5") for n in range(20) for c in (0, 1)]
    rows += [("bot", "ab"[n % 2], f"2014-04-03 11:{n // 60:02}:{n % 60:02}.5") for n in range(500)]
    data = load(tmp_path, "clicks", write(tmp_path / "log.csv", [*rows, rows[0]]), "dataset.rules.test_days=1")
    assert "without duplicate rows" in [step["rule"] for step in data.manifest["steps"]]
    spans, robots = texts(data)
    assert spans.startswith("Sessions longer than a day: 9 of 30, ")
    assert robots.startswith("Sessions of more than 200 clicks in the test set: 1 of 10, up to 500 clicks")


def test_a_single_tie_is_said_in_the_singular(tmp_path: Path):
    rows = [("1", "a", "2014-04-01"), ("1", "b", "2014-04-01"), ("1", "c", "2014-04-02")]
    rows += [("2", item, f"2014-05-0{day}") for day, item in enumerate("abc", 1)]
    text, *_ = texts(load(tmp_path, "clicks", write(tmp_path / "log.csv", rows)))
    assert text.startswith("The times are whole days: 1 click has the time of an earlier one of the same session; ")


def test_strict_makes_warnings_errors_whether_the_log_was_prepared_before_or_not(tmp_path: Path):
    path = write(tmp_path / "log.csv", [("1", "a", "2014-04-01"), ("1", "b", "2014-04-01")] * 2 + [
        ("2", "a", "2014-05-01"), ("2", "b", "2014-05-01")
    ])  # fmt: skip
    for _ in range(2):
        with pytest.raises(
            UserError, match=r"dataset\.strict=true makes them errors: The times are whole days.*order="
        ):
            load(tmp_path, "clicks", path, "dataset.strict=true")
    assert len(texts(load(tmp_path, "clicks", path))) == 2
