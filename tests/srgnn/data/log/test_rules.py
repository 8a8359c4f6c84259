"""The rules, one by one on paper, and all together against plain Python."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srgnn.data import ClickLog, Columns, DuckDB, Polars, Rules, SessionData
from srgnn.data.log.raw import files
from srgnn.errors import ArgumentError, UserError

HOUR = 3600
START = 1_396_310_400  # 2014-04-01
Row = tuple[int, str, float] | tuple[int, str, float, float]  # session, item, seconds since 1970, place


INDIA = timezone(timedelta(hours=5.5))
TIMES = {  # forms of a time
    "s": str,
    "ms": lambda time: f"{time * 1000:.0f}",
    "us": lambda time: f"{time * 1_000_000:.0f}",
    "iso": lambda time: datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    "zone": lambda time: datetime.fromtimestamp(time, timezone(timedelta(hours=5.5))).isoformat(
        timespec="microseconds"
    ),
}


ENGINES = {"polars": Polars(), "duckdb": DuckDB(threads=1)}


@dataclass(frozen=True)
class Log:
    """A log and how it is read.

    Args:
        rows: Its rows; their places are used where all have one.
        gap: The inactivity that ends a visit, in seconds.
        form: The form of its times.
        num_test: Number of its last rows that are a test file; 0 splits it by time.
    """

    rows: list[Row]
    gap: int | None = None
    form: str = "s"
    num_test: int = 0

    def prepare(self, folder: str, rules: Rules, engine: str = "polars") -> SessionData:
        num_train = len(self.rows) - self.num_test
        paths = {"path": Path(folder) / "log.csv", "test_path": Path(folder) / "test.csv"}
        for path, rows in zip(paths.values(), (self.rows[:num_train], self.rows[num_train:]), strict=True):
            lines = [",".join([str(s), i, TIMES[self.form](t), *map(str, place)]) for s, i, t, *place in rows]
            path.write_text("\n".join(["session,item,time" + ",place" * self.has_places, *lines, ""]))
        if not self.num_test:
            del paths["test_path"]
        log = ClickLog(
            **paths,
            columns=Columns(user="session", order="place" if self.has_places else None),
            session_gap=None if self.gap is None else f"{self.gap}s",
            time_format=self.form if self.form in ("s", "ms", "us") else None,
            engine=ENGINES[engine],
            cache=f"{folder}/{engine}",
            rules=rules,
        )
        return log.load()

    @property
    def has_places(self) -> bool:
        return len(self.rows[0]) == 4


def prepare(rows: list[Row], **rules) -> SessionData:
    with TemporaryDirectory() as folder:
        return Log(rows).prepare(folder, Rules(**{"min_item_support": 1, **rules}))


def raw(data: SessionData, part: str) -> list[list[str]]:
    return [[data.vocabulary.ids[i] for i in session.tolist()] for session in getattr(data, part)]


def drops_duplicate(given: Log, r: Rules, time: float) -> bool:
    num_whole = sum(row[2] == int(row[2]) for row in given.rows)
    unclear = time == int(time) and num_whole > len(given.rows) / 100
    return r.duplicates == "drop" or (r.duplicates == "auto" and (given.has_places or not unclear))


def oracle(given: Log, r: Rules) -> tuple[list, list, list, list] | None:
    """Training sessions, test sessions, their ids and candidates, by loops over rows; None if a set is empty."""
    visits: dict[tuple, list] = {}
    for row, (session, item, time, *place) in enumerate(given.rows):
        is_test = row >= len(given.rows) - given.num_test if given.num_test else None
        clicks = visits.setdefault((is_test, session), [])
        repeats_another = any((time, item, place) == (t, i, p) for t, _, i, p in clicks)
        if not repeats_another or not drops_duplicate(given, r, time):
            clicks.append((time, row, item, place))
    by_file = r.order == "file"
    log = []  # ((is a test session by its file, when, first row, session), items)
    for (is_test, session), visit in visits.items():
        ordered, gap = sorted(visit), given.gap
        cuts = [n for n in range(1, len(ordered)) if gap is not None and ordered[n][0] - ordered[n - 1][0] > gap]
        for part in (ordered[a:b] for a, b in pairwise([0, *cuts, len(ordered)])):
            when, first_row = part[-1][0], min(click[1] for click in part)
            if by_file:
                when = max(part, key=lambda click: click[1])[0] // 1
            if given.has_places:
                part = sorted(part, key=lambda click: (click[3], click[1]))
            elif by_file:
                part = sorted(part, key=lambda click: click[1])
            items = [item for _, _, item, _ in part]
            if r.repeats == "drop":
                items = [item for n, item in enumerate(items) if n == 0 or item != items[n - 1]]
            log.append(((is_test, when, first_row, session), items))
    log = [visit for visit in log if len(visit[1]) >= r.min_session_length]
    while True:
        support = Counter(item for _, items in log for item in items)
        filtered = [(w, [i for i in items if support[i] >= r.min_item_support]) for w, items in log]
        changed, log = filtered != log, [visit for visit in filtered if len(visit[1]) >= r.min_session_length]
        if r.support == "once" or not changed:
            break
    if r.max_session_length:
        if r.too_long == "drop":
            log = [visit for visit in log if len(visit[1]) <= r.max_session_length]
        log = [(w, items[-r.max_session_length :]) for w, items in log]
    log.sort()
    if not log:
        return None
    if given.num_test:
        full = train = [items for (is_test, *_), items in log if not is_test]
        tested = [(visit[-1], items) for visit, items in log if visit[0]]
    else:
        cut = max(when for (_, when, *_), _ in log) - r.test_days * 24 * HOUR
        keeps_last = r.boundary == "train"
        full = train = [items for (_, when, *_), items in log if when < cut or (when == cut and keeps_last)]
        tested = [(visit[-1], items) for visit, items in log if visit[1] > cut]
    pairs = [(n, end) for n, items in enumerate(train) for end in range(len(items), 1, -1)]
    if r.fraction < 1:
        pairs = pairs[len(pairs) - int(len(pairs) * r.fraction) :]
        train = [train[n][: max(e for m, e in pairs if m == n)] for n in sorted({n for n, _ in pairs})]
    source = full if r.candidates == "all" else train
    candidates = {i for items in source for i in items}
    if r.unseen == "keep":
        candidates |= {i for _, items in tested for i in items}
    tested = [(session, [i for i in items if i in candidates]) for session, items in tested]
    tested = [(session, items) for session, items in tested if len(items) >= r.min_session_length]
    test, sessions = [items for _, items in tested], [session for session, _ in tested]
    if not train or not test:
        return None
    ordered_ids = [i for i in dict.fromkeys(i for items in full + test for i in items) if i in candidates]
    return train, test, sessions, ordered_ids


moments = st.builds(lambda n, part: n * 6 * HOUR + part, st.integers(0, 12), st.sampled_from([0, 0, 0.5, 0.25]))
clicks = st.tuples(st.integers(1, 12), st.sampled_from("abcdefgh"), moments, st.sampled_from([1, 2, 2.5, -3]))


@st.composite
def logs(draw: st.DrawFn) -> Log:
    rows = draw(st.lists(clicks, min_size=40, max_size=80))  # fewer leave little after the rules
    is_fine, has_places = draw(st.booleans()), draw(st.booleans())
    form = draw(st.sampled_from([*TIMES]))
    # Before 1970, the form of the times has to be given.
    begin = draw(st.sampled_from([START, -START])) if form in ("s", "ms", "us") else START
    rows = [(s, i, begin + (t if is_fine else int(t)), *[place] * has_places) for s, i, t, place in rows]
    gap, num_test = draw(st.sampled_from([None, 6 * HOUR, 24 * HOUR])), draw(st.sampled_from([0, 0, 15]))
    return Log(rows, gap, form, num_test)


rules = st.builds(
    Rules,
    duplicates=st.sampled_from(["keep", "drop", "auto"]),
    repeats=st.sampled_from(["keep", "drop"]),
    min_session_length=st.integers(2, 3),
    min_item_support=st.integers(1, 4),
    support=st.sampled_from(["once", "repeat"]),
    max_session_length=st.sampled_from([None, 3, 4]),
    too_long=st.sampled_from(["latest", "drop"]),
    test_days=st.sampled_from([0.25, 0.5, 1]),
    boundary=st.sampled_from(["train", "drop"]),
    fraction=st.sampled_from([1, 1, 0.5]),
    unseen=st.sampled_from(["drop", "keep"]),
    candidates=st.sampled_from(["all", "trained"]),
    order=st.sampled_from(["time", "file"]),
)


@settings(max_examples=150, deadline=None)
@given(logs(), rules, st.booleans(), st.sampled_from([["polars"]] * 3 + [[*ENGINES]]))  # DuckDB takes thrice the time
def test_any_log_under_any_rules_equals_plain_python_on_every_engine(
    log: Log, rules: Rules, small_sample: bool, engines: list[str]
):
    rules = replace(rules, boundary="train") if log.num_test else rules
    expected = oracle(log, rules)
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        if small_sample:
            patch.setattr(files, "SAMPLE", 2)
        if expected is None:  # nothing is left to train on or to test
            for engine in engines:
                with pytest.raises(UserError, match=r"session is left|split leaves|rules leave|rules\.fraction="):
                    log.prepare(folder, rules, engine)
            return
        first, *others = (log.prepare(folder, rules, engine) for engine in engines)
    train, test, sessions, ids = expected
    assert raw(first, "train") == train
    assert raw(first, "test") == test
    assert first.vocabulary.ids == ids
    assert first.test_ids.to_list() == sessions
    for other in others:
        assert raw(other, "train") == train
        assert raw(other, "test") == test
        assert other.manifest == first.manifest
        assert other.vocabulary.about.equals(first.vocabulary.about)
        assert other.test_ids.equals(first.test_ids)


EARLY = [(1, "a", 0), (1, "b", 60), (1, "c", 120), (2, "b", 180), (2, "c", 240)]  # two training sessions
LATE = [(9, "a", 30 * 24 * HOUR), (9, "b", 30 * 24 * HOUR + 60)]  # one test session


def test_items_are_numbered_by_first_appearance_in_training():
    data = prepare([(2, "z", 60), *EARLY, *LATE])
    assert raw(data, "train") == [["a", "b", "c"], ["z", "b", "c"]]
    assert data.vocabulary.ids == ["a", "b", "c", "z"]
    assert data.train.items.tolist() == [0, 1, 2, 3, 1, 2]


def test_sessions_on_the_split_are_training_sessions_unless_dropped_as_in_the_reference():
    on_the_split = [(5, "a", 23 * 24 * HOUR), (5, "b", 23 * 24 * HOUR + 60)]
    assert raw(prepare(EARLY + on_the_split + LATE), "train")[-1] == ["a", "b"]
    dropped = prepare(EARLY + on_the_split + LATE, boundary="drop")
    assert len(dropped.train) == 2
    assert "exactly on the split" in dropped.manifest["steps"][-1]["rule"]


def test_a_date_splits_too():
    data = prepare(EARLY + LATE, test_from="1970-01-01T00:03")
    assert raw(data, "train") == [["a", "b", "c"]]
    assert raw(data, "test") == [["b", "c"], ["a", "b"]]
    with pytest.raises(ArgumentError, match="test_from=soon"):
        Rules(test_from="soon")


def test_a_session_that_spans_the_split_is_a_test_session_and_counted():
    data = prepare([*EARLY, (9, "c", 300), *LATE])
    assert raw(data, "test") == [["c", "a", "b"]]
    assert data.manifest["split"]["test_sessions_begun_before"] == 1


def test_the_report_counts_every_step():
    rows = [*EARLY, (3, "x", 300), *LATE, (9, "y", 31 * 24 * HOUR)]
    manifest = prepare(rows, min_item_support=2).manifest
    assert [(s["rule"], s["clicks"], s["sessions"], s["items"]) for s in manifest["steps"]] == [
        ("rows of the log", 9, 4, 5),
        ("sessions of 2 clicks or more", 8, 3, 4),
        ("items of 2 clicks or more (once)", 7, 3, 3),
    ]
    assert manifest["lengths"]["train"] == {"2": 1, "3": 1, "4": 0, "5": 0} | dict.fromkeys(
        ["6-10", "11-20", "21-50", "51-100", "101+"], 0
    )


def test_unseen_targets_are_counted_before_and_after_their_rule():
    rows = [*EARLY, *LATE, (9, "new", 30 * 24 * HOUR + 120), (9, "c", 30 * 24 * HOUR + 180)]
    for rule, after in (("drop", 0), ("keep", 1)):
        manifest = prepare(rows, unseen=rule).manifest
        assert manifest["split"]["unseen_share_before_rule"] == round(1 / 3, 6)
        assert manifest["unseen_test_targets"] == after


def test_a_split_without_training_sessions_reports_their_times():
    with pytest.raises(UserError, match=r"leaves 0 training and 1 test sessions.*rules\.test_days="):
        prepare(LATE)


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({}, r"too few clicks, or name the column of sessions with columns\.session=NAME\.$"),
        ({"min_session_length": 4}, r"lower rules\.min_session_length=4\.$"),
        ({"min_item_support": 4}, r"lower rules\.min_item_support=4\.$"),
        ({"max_session_length": 2, "too_long": "drop"}, r"keep parts of longer ones with rules\.too_long=latest\.$"),
    ],
)
def test_a_log_of_which_nothing_is_left_names_the_rule_to_loosen(rules, sentence: str):
    rows = [(s, i, s * 60 + n) for s in (1, 2) for n, i in enumerate("abc")] if rules else EARLY[2:4]
    with pytest.raises(UserError, match=rf"No session is left after the rules \(.*\): .*{sentence}"):
        prepare(rows, **rules)


@pytest.mark.parametrize(
    "option",
    [
        {"support": "twice"},
        {"min_session_length": 1},
        {"min_item_support": 0},
        {"max_session_length": 1},
        {"fraction": 1.5},
        {"fraction": 0},
        {"test_days": -1},
        {"order": "up"},
    ],
)
def test_wrong_rules_are_refused(option):
    with pytest.raises(ArgumentError, match=next(iter(option))):
        Rules(**option)


def split_by_file(tmp_path: Path, test: list[Row], engine: str, gap: str | None = None) -> SessionData:
    for name, part in (("train", EARLY), ("test", test)):
        lines = [f"{s},{i},{t}\n" for s, i, t in part]
        (tmp_path / f"{name}.csv").write_text("session_id,item_id,timestamp\n" + "".join(lines))
    log = ClickLog(
        tmp_path / "train.csv",
        test_path=tmp_path / "test.csv",
        columns=Columns(user="session_id"),
        session_gap=gap,
        time_format="s",
        engine=ENGINES[engine],
        cache=tmp_path / "cache",
        rules=Rules(min_item_support=1),
    )
    return log.load()


@pytest.mark.parametrize("gap", [None, "1h"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_log_that_is_split_already_stays_so(tmp_path: Path, engine: str, gap):
    test = [(1, "c", 30), (1, "a", 90), (7, "b", 600), (7, "new", 660), (7, "a", 720)]  # also earlier than training
    data = split_by_file(tmp_path, test, engine, gap)
    assert raw(data, "train") == [["a", "b", "c"], ["b", "c"]]
    assert raw(data, "test") == [["c", "a"], ["b", "a"]]
    assert data.manifest["split"]["test_sessions_begun_before"] == 1
    assert "test sessions are those of test_path" in data.manifest["protocol"]
    notices = [notice["text"] for notice in data.manifest["notices"]]
    *leaks, early = notices
    assert [text.partition("; if they are")[0] for text in leaks] == [
        "Test sessions that have the id of a training session: 1 of 2"
    ] * (gap is None)
    assert early.startswith("Sessions of test_path= that began before the last training session ended, at ")
    assert ": 1 of 2; the model knows clicks that came later" in early


def test_clicks_in_the_files_of_both_sets_are_noticed_whatever_cuts_the_visits(tmp_path: Path):
    data = split_by_file(tmp_path, [*EARLY[:3], (7, "a", 9000), (7, "b", 9030)], "polars", "1h")
    texts = [notice["text"] for notice in data.manifest["notices"]]
    assert texts[0].startswith("Test clicks that are training clicks, too: 3, so that part of the test set was trained")
    with pytest.raises(
        UserError, match=r"rules\.test_from=1970-01-02: expected null, because test_path= names the test"
    ):
        ClickLog("train.csv", test_path="test.csv", rules=Rules(test_from="1970-01-02"))
    with pytest.raises(UserError, match=r"rules\.boundary=drop: expected train, because test_path= names the test set"):
        ClickLog("train.csv", test_path="test.csv", rules=Rules(boundary="drop"))


def test_a_test_file_on_whose_items_nothing_was_trained_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match=r"No test session is left.*rules\.unseen=keep"):
        split_by_file(tmp_path, [(7, "x", 600), (7, "y", 660)], "polars")
    with pytest.raises(UserError, match=r"leave 2 training and 0 test sessions of the files.*min_session_length="):
        split_by_file(tmp_path, [(7, "x", 600)], "polars")
    with pytest.raises(UserError, match=r"The files of test_path= have no clicks"):
        split_by_file(tmp_path, [], "polars")
