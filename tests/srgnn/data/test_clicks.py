"""Every raw layout by its own configuration, the reference's outputs, and what is wrong with a log."""

import gzip
import json
import sys
from pathlib import Path

import polars as pl
import pytest
from hydra import compose, initialize_config_dir

import door
from srgnn.data import ClickLog, SessionData, clicks
from srgnn.data.benchmarks import read_pickle
from srgnn.data.graphs import SessionGraphs
from srgnn.data.times import moment
from srgnn.errors import UserError

DAY = 86_400
START = moment("", "2014-04-01") // 1_000_000

# Three training sessions and, a month later, a test session; (session, item, seconds since 1970).
LOG = [
    *((1, 10, START), (1, 11, START + 60), (1, 10, START + 120)),
    *((2, 11, START + 100), (2, 12, START + 160)),
    *((3, 12, START + DAY), (3, 10, START + DAY + 30)),
    *((4, 10, START + 30 * DAY), (4, 12, START + 30 * DAY + 60), (4, 11, START + 30 * DAY + 90)),
]
TRAIN, TEST = [[10, 11, 10], [11, 12], [12, 10]], [[10, 12, 11]]


def dataset(tmp_path: Path, name: str, path: Path | str | None, *options: str) -> ClickLog:
    """The data set of conf/dataset/NAME.yaml, as a user chooses it."""
    given = [] if path is None else [f"dataset.path='{path}'"]
    with initialize_config_dir(str(door.CONF), version_base="1.3"):
        config = compose("prepare", [f"dataset={name}", f"paths.cache={tmp_path / 'cache'}", *given, *options])
    return door.build(config, "dataset")


def load(tmp_path: Path, name: str, path: Path | str | None, *options: str) -> SessionData:
    return dataset(tmp_path, name, path, "dataset.rules.min_item_support=1", *options).load()


def raw(data: SessionData, part: str) -> list[list]:
    return [[data.vocabulary.ids[i] for i in session.tolist()] for session in getattr(data, part)]


def stamp(seconds: int, form: str) -> str:
    return pl.from_epoch(pl.Series([seconds]), time_unit="s").dt.to_string(form)[0]


# Layouts


def yoochoose(path: Path) -> Path:
    path = path / "yoochoose-clicks.dat"
    path.write_text("".join(f"{s},{stamp(t, '%Y-%m-%dT%H:%M:%S.000Z')},{i},S\n" for s, i, t in LOG))
    return path


def diginetica(path: Path) -> Path:
    path = path / "train-item-views.csv"
    latest_first = sorted(LOG, key=lambda click: (click[0], -click[2]))  # within the session
    rows = [f"{s};NA;{i};{(t - START) * 1000};{stamp(t, '%Y-%m-%d')}\n" for s, i, t in latest_first]
    path.write_text("sessionId;userId;itemId;timeframe;eventdate\n" + "".join(rows))
    return path


def retailrocket(path: Path) -> Path:
    path = path / "events.csv"
    rows = [f"{t * 1000},{s},view,{i},\n" for s, i, t in LOG]
    rows += [f"{(START + 130) * 1000},1,addtocart,12,\n", f"{(START + 140) * 1000},1,transaction,12,7\n"]
    path.write_text("timestamp,visitorid,event,itemid,transactionid\n" + "".join(reversed(rows)))
    return path


def otto(path: Path) -> Path:
    path = path / "otto-recsys-train.jsonl"
    lines = []
    for session in (1, 2, 3, 4):
        events = [{"aid": i, "ts": t * 1000, "type": "clicks"} for s, i, t in LOG if s == session]
        lines.append({"session": session, "events": [*events, {**events[-1], "aid": 12, "type": "carts"}]})
    lines.append({"session": 5, "events": []})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def tmall(path: Path) -> Path:
    path = path / "dataset15.csv"
    # GCE-GNN ends at the first session above 120000; the last 100 of its time units are the test set.
    rows = [f"0\t{i}\t{s}\t{(t - START) // 60}\n" for s, i, t in LOG] + [
        "0\t10\t120001\t43201\n",
        "0\t11\t120001\t43202\n",
    ]
    path.write_text("UserId\tItemId\tSessionId\tTime\n" + "".join(rows))
    return path


def nowplaying(path: Path) -> Path:
    path = path / "nowplaying.csv"
    path.write_text("SessionId\tItemId\tTime\n" + "".join(f"{s}\t{i}\t{t}\n" for s, i, t in LOG))
    return path


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        (yoochoose, []),
        (diginetica, []),
        (retailrocket, []),
        (otto, []),
        (tmall, []),
        (nowplaying, ["dataset.rules.test_days=7"]),  # two months are its own
    ],
)
def test_every_raw_layout_gives_the_same_sessions(tmp_path: Path, layout, options):
    data = load(tmp_path, layout.__name__, layout(tmp_path), *options)
    assert raw(data, "train") == TRAIN
    assert raw(data, "test") == TEST


@pytest.mark.parametrize("kind", ["csv", "tsv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("form", ["s", "ms", "iso", "datetime"])
def test_your_own_log_in_every_form(tmp_path: Path, kind: str, text: bool, form: str):
    frame = pl.DataFrame(LOG, schema=["session", "item", "time"], orient="row").reverse()
    if text:
        frame = frame.with_columns(pl.format("visit-{}", "session"), pl.format("item {}", "item"))
    time = pl.from_epoch("time", time_unit="s")
    frame = frame.with_columns(
        {"s": pl.col("time"), "ms": pl.col("time") * 1000, "iso": time.dt.to_string("iso:strict"), "datetime": time}[
            form
        ]
    )
    path = tmp_path / f"log.{kind}"
    if kind == "parquet":
        frame.write_parquet(path)
    else:
        rows = frame.write_ndjson() if "json" in kind else frame.write_csv(separator="\t" if kind == "tsv" else ",")
        path.write_bytes(gzip.compress(rows.encode()) if kind.endswith("gz") else rows.encode())
    data = load(tmp_path, "clicks", path)
    expected = [[f"item {i}" if text else i for i in session] for session in TRAIN]
    assert raw(data, "train") == expected


def test_visits_are_cut_where_a_session_is_not_given(tmp_path: Path):
    visits = [("u", "a", 0), ("u", "b", 1800), ("v", "a", 10), ("u", "c", 3601), ("v", "b", 20), ("u", "a", 3700)]
    later = [("u", "a", 30 * DAY), ("u", "b", 30 * DAY + 1)]
    path = tmp_path / "log.csv"
    path.write_text("who,item,time\n" + "".join(f"{u},{i},{START + t}\n" for u, i, t in visits + later))
    options = ["dataset.columns.user=who", "dataset.session_gap=30m"]
    data = load(tmp_path, "clicks", path, *options)
    assert raw(data, "train") == [["a", "b"], ["a", "b"], ["c", "a"]]  # of v, then of u; 1800 s are no gap, 1801 are
    assert [step["sessions"] for step in data.manifest["steps"][:2]] == [None, 4]


@pytest.mark.parametrize("options", [["dataset.rules.order=file"], ["dataset.columns.order=place"]])
def test_visits_are_cut_in_time_order_whatever_orders_their_clicks(tmp_path: Path, options):
    path = tmp_path / "log.csv"
    rows = [("u", "a", 10 * DAY + 60), ("u", "b", 10 * DAY), ("u", "c", 0), ("u", "d", 30), ("v", "a", 40 * DAY)]
    rows += [("v", "b", 40 * DAY + 1)]
    lines = [f"{u},{i},{START + t},{place / 2}\n" for place, (u, i, t) in enumerate(rows)]
    path.write_text("user,item,time,place\n" + "".join(lines))
    data = load(tmp_path, "clicks", path, "dataset.session_gap=30m", *options)
    assert raw(data, "train") == [["c", "d"], ["a", "b"]]


# The reference


def prefixes(part) -> tuple[list, list]:
    graphs = SessionGraphs(part, 1)
    pairs = list(zip(graphs.start.tolist(), graphs.length.tolist(), strict=True))
    items = (part.items + 1).tolist()  # the authors count items from 1
    return [items[start : start + length] for start, length in pairs], [
        items[start + length] for start, length in pairs
    ]


def test_the_reference_preset_gives_the_authors_files_to_the_last_id(shared: Path, tmp_path: Path):
    path = shared / "data" / "raw" / "diginetica-sample-train-item-views.csv"
    data = dataset(tmp_path, "diginetica", path, "preset=reference").load()
    golden = shared / "golden" / "diginetica-sample"
    assert [(s + 1).tolist() for s in data.train] == read_pickle(golden / "all_train_seq.txt")
    assert prefixes(data.train) == read_pickle(golden / "train.txt")
    assert prefixes(data.test) == read_pickle(golden / "test.txt")
    assert data.counts == {"train_sessions": 469, "train_prefixes": 1205, "test_prefixes": 99, "items": 309}


def test_our_default_keeps_the_day_that_the_reference_loses(shared: Path, tmp_path: Path):
    path = shared / "data" / "raw" / "diginetica-sample-train-item-views.csv"
    ours, theirs = (dataset(tmp_path, "diginetica", path, f"preset={name}").load() for name in ("default", "reference"))
    lost = theirs.manifest["steps"][-2]
    assert lost["rule"] == "without the sessions exactly on the split"
    assert len(ours.train) == len(theirs.train) + 9
    assert ours.manifest["split"]["train"][1] == ours.manifest["split"]["test_after"] == "2016-05-25 00:00:00"


@pytest.mark.parametrize(("name", "train"), [("yoochoose", 52_098), ("yoochoose1_4", 13_024), ("yoochoose1_64", 814)])
def test_the_real_yoochoose_clicks_give_the_counts_of_the_reference(
    shared: Path, tmp_path: Path, name: str, train: int
):
    path = shared / "data" / "raw" / "yoochoose-clicks-100k.dat"
    data = dataset(tmp_path, name, path, "preset=reference").load()
    assert (data.train.num_prefixes, data.test.num_prefixes, data.num_items) == (train, 10_102, 2_808)


# The cache and the vocabulary


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text("session,item,time\n" + "".join(f"{s},{i},{t}\n" for s, i, t in LOG))
    return path


def test_a_log_is_prepared_once_and_again_when_it_or_a_rule_changes(tmp_path: Path, log: Path, capfd):
    def prepared(*options: str) -> bool:
        load(tmp_path, "clicks", log, *options)
        return "Reading" in capfd.readouterr().out

    assert prepared()
    assert not prepared()
    assert prepared("dataset.rules.repeats=drop")
    log.write_text(log.read_text().replace("12", "13"))
    assert prepared()
    log.rename(tmp_path / "other.csv")
    log = tmp_path / "other.csv"
    assert not prepared()  # the same content and rules
    items = tmp_path / "items.csv"
    items.write_text("id,title\n10,Rug\n")
    assert prepared(f"dataset.items.path={items}")
    items = items.rename(tmp_path / "same.csv")
    assert not prepared(f"dataset.items.path={items}")
    items.write_text("id,title\n10,Tea\n")
    assert prepared(f"dataset.items.path={items}")
    assert all((folder / "manifest.json").is_file() for folder in (tmp_path / "cache").iterdir())


def test_the_same_file_twice_or_of_another_kind_is_another_log(tmp_path: Path, log: Path):
    once, keep = load(tmp_path, "clicks", log).folder, "dataset.rules.duplicates=keep"
    twice = load(tmp_path, "clicks", None, f"dataset.path=['{log}','{log}']", keep)
    assert twice.manifest["steps"][0]["clicks"] == 20
    assert load(tmp_path, "clicks", log, keep).manifest["steps"][0]["clicks"] == 10
    other = log.rename(tmp_path / "log.txt")
    assert load(tmp_path, "clicks", other).folder != once


def test_a_changed_recipe_prepares_anew(tmp_path: Path, log: Path, monkeypatch):
    first = load(tmp_path, "clicks", log).folder
    monkeypatch.setattr(clicks, "RECIPE", clicks.RECIPE + 1)
    assert load(tmp_path, "clicks", log).folder != first


def test_the_vocabulary_is_a_table_to_open(tmp_path: Path, log: Path):
    items = tmp_path / "items.csv"
    items.write_text('sku,name,category\n12,"Lamp, red",lamps\n10,Rug,rugs\n99,Chair,chairs\n10,Rug again,rugs\n')
    options = [f"dataset.items.path={items}", "dataset.items.id=sku", "dataset.items.title=name"]
    folder = load(tmp_path, "clicks", log, *options).folder
    table = pl.read_parquet(folder / "vocabulary.parquet")
    assert table.columns == ["index", "id", "count", "first_seen", "last_seen", "title", "category"]
    assert table["id"].to_list() == [10, 11, 12]
    assert table["index"].to_list() == [0, 1, 2]
    assert table["count"].to_list() == [4, 3, 3]
    assert table["title"].to_list() == ["Rug", None, "Lamp, red"]
    assert table["first_seen"].dt.epoch("s").to_list() == [START, START + 60, START + 160]
    assert table["last_seen"].dt.epoch("s").to_list() == [START + 30 * DAY + t for t in (0, 90, 60)]
    assert SessionData.load(folder).vocabulary.titles == ["Rug", None, "Lamp, red"]
    assert SessionData.load(folder).manifest["titled_items"] == 2
    with pytest.raises(UserError, match=r"items\.csv: expected the column id; found sku.*dataset\.items\.id=NAME"):
        load(tmp_path, "clicks", log, options[0])


def test_counts_are_of_clicks_and_not_of_duplicate_rows(tmp_path: Path, log: Path):
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*lines, *lines[1:]]))
    data = load(tmp_path, "clicks", log)
    assert [step["clicks"] for step in data.manifest["steps"][:2]] == [20, 10]
    assert data.vocabulary.about["count"].to_list() == [4, 3, 3]


def test_an_item_table_may_have_columns_of_any_name(tmp_path: Path, log: Path):
    items = tmp_path / "items.parquet"
    frame = {"sku": [10.0, 11.0, None], "id": ["x", "y", "z"], "title": [1, 2, 3], "name": ["Rug", "Tea", None]}
    pl.DataFrame(frame | {"index": [7, 8, 9], "count": [0, 0, 0], "item_count": [1, 1, 1]}).write_parquet(items)
    options = [f"dataset.items.path={items}", "dataset.items.id=sku", "dataset.items.title=name"]
    table = pl.read_parquet(load(tmp_path, "clicks", log, *options).folder / "vocabulary.parquet")
    assert table["title"].to_list() == ["Rug", "Tea", None]
    assert table.columns[5:] == ["title", "item_id", "item_title", "item_index", "item_item_count", "item_count"]


# Ids


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["3", "-7", "5"], [3, -7, 5]),
        (["3", "9223372036854775808", "5"], ["3", "9223372036854775808", "5"]),  # too large for an integer
        (["3", "007", "7"], ["3", "007", "7"]),
        (["3", "x", "5"], ["3", "x", "5"]),
    ],
)
@pytest.mark.parametrize("late", [False, True])  # after the rows that tell the types
def test_ids_are_integers_only_where_all_of_them_are(tmp_path: Path, ids, expected, late: bool, monkeypatch):
    if late:
        monkeypatch.setattr(clicks, "SAMPLE", 1)
    path = tmp_path / "log.csv"
    a, b, c = ids
    rows = [(1, a, 0), (1, b, 1), (1, c, 2), (2, a, 30 * DAY), (2, b, 30 * DAY + 1)]
    path.write_text("session,item,time\n" + "".join(f"{s},{i},{START + t}\n" for s, i, t in rows))
    assert load(tmp_path, "clicks", path).vocabulary.ids == expected


def test_ids_that_are_no_whole_numbers_are_text(tmp_path: Path):
    path = tmp_path / "log.parquet"
    rows = [(1, 2.0, START), (1, 2.5, START + 1), (2, 2.0, START + 30 * DAY), (2, 2.5, START + 30 * DAY + 1)]
    pl.DataFrame(rows, schema=["session", "item", "time"], orient="row").write_parquet(path)
    assert load(tmp_path, "clicks", path).vocabulary.ids == ["2.0", "2.5"]


def test_a_float_that_is_no_exact_id_is_refused_and_nan_is_none(tmp_path: Path):
    path = tmp_path / "log.parquet"
    frame = pl.DataFrame(LOG, schema={"session": pl.Int64, "item": pl.Float64, "time": pl.Int64}, orient="row")
    frame.write_parquet(path)
    assert raw(load(tmp_path, "clicks", path), "train") == TRAIN
    frame.with_columns(item=pl.when(pl.col("item") == 12).then(float("nan")).otherwise("item")).write_parquet(path)
    with pytest.raises(UserError, match=r"3 have no item \(row 5: 'NaN', "):
        load(tmp_path, "clicks", path)
    frame.with_columns(item=pl.col("item") + 2.0**60).write_parquet(path)
    with pytest.raises(UserError, match="the column item has ids that are floats too large to be exact"):
        load(tmp_path, "clicks", path)


@pytest.mark.parametrize("places", [[2**60 + 2, 2**60 + 1, 2**60], ["0.3", "0.2", "-1e3"]])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_orders_the_clicks_is_exact(tmp_path: Path, places, kind: str):
    rows = [*zip("111", "abc", places, strict=True), ("2", "a", places[0]), ("2", "b", places[0])]
    times = [START, START, START, START + 30 * DAY, START + 30 * DAY + 1]
    frame = pl.DataFrame(rows, schema=["session", "item", "place"], orient="row").with_columns(time=pl.Series(times))
    path = tmp_path / f"log.{kind}"
    frame.write_csv(path) if kind == "csv" else frame.write_parquet(path)
    assert raw(load(tmp_path, "clicks", path, "dataset.columns.order=place"), "train") == [["c", "b", "a"]]


def test_a_log_may_have_a_column_of_any_name(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace("\n", ",0,0\n").replace("time,0,0", "time,row,key"))
    assert raw(load(tmp_path, "clicks", log), "train") == TRAIN


def test_json_fields_may_come_late_or_in_another_file(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("srgnn.data.files.SAMPLE", 1)
    rows = [{"session": s, "item": i, "time": t} for s, i, t in LOG]
    rows[5:] = [row | {"event": "view"} for row in rows[5:]]
    options = ["dataset.columns.event=event", "dataset.events=view", "dataset.rules.test_days=1"]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert raw(load(tmp_path, "clicks", tmp_path / "a.jsonl", *options), "train") == TRAIN[2:]
    for name, part in (("b", rows[:5]), ("c", rows[5:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    data = load(tmp_path, "clicks", None, f"dataset.path=['{tmp_path}/b.jsonl','{tmp_path}/c.jsonl']", *options)
    assert raw(data, "train") == TRAIN[2:]
    where = ["dataset.where='event IS NOT NULL'", options[-1]]
    assert raw(load(tmp_path, "clicks", tmp_path / "a.jsonl", *where), "train") == TRAIN[2:]


def test_json_ids_of_two_types_are_text(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("srgnn.data.files.SAMPLE", 1)
    path = tmp_path / "log.jsonl"
    rows = [(1, 5, 0), (1, "x", 1), ("one", 5, 30 * DAY), ("one", "x", 30 * DAY + 1)]
    path.write_text("".join(json.dumps({"session": s, "item": i, "time": START + t}) + "\n" for s, i, t in rows))
    assert load(tmp_path, "clicks", path).vocabulary.ids == ["5", "x"]


# Bad rows

BAD = """session,item,time
1,a,1396310400
1,b,yesterday
1,b,1396310460

,a,1396310400
2,,1396310400
1,c,
1,b,1396310460
1,a,1396310461,surplus
9,b,1399000000
9,a,1399000060
"""


def test_bad_rows_are_told_with_their_lines(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_text(BAD)
    with pytest.raises(
        UserError, match=r"more fields than the header: 1 \(log\.csv line 10: '1,a,1396310461,surplus'\)"
    ):
        load(tmp_path, "clicks", path)
    path.write_text(BAD.replace(",surplus", ""))
    with pytest.raises(UserError) as error:
        load(tmp_path, "clicks", path)
    for part in (
        "log.csv: of 10 rows, 1 have no session (line 6: nothing); 1 have no item (line 7: nothing); ",
        "2 have a time that cannot be read (line 3: 'yesterday', line 8: nothing). ",
        "leave them out with dataset.on_error=skip.",
    ):
        assert part in str(error.value)


def test_a_file_that_lacks_a_column_is_named(tmp_path: Path):
    (tmp_path / "a.csv").write_text("session,item,time\n1,a,1396310400\n1,,1396310400\n")
    (tmp_path / "b.csv").write_text("session,time\n2,1396310400\n")
    with pytest.raises(UserError, match=r"2 have no item \(a\.csv line 3: nothing, b\.csv has no column item\)"):
        load(tmp_path, "clicks", tmp_path / "*.csv")


def test_bad_rows_are_skipped_and_counted_on_demand(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_text(BAD)
    data = load(tmp_path, "clicks", path, "dataset.on_error=skip")
    assert raw(data, "train") == [["a", "b"]]
    assert [tuple(step.values()) for step in data.manifest["steps"][:3]] == [
        ("rows of the log", 10, 3, 3),
        ("readable rows (on_error=skip)", 5, 2, 2),
        ("without duplicate rows", 4, 2, 2),
    ]


def test_lines_that_are_no_json_are_told_or_skipped(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    rows = [json.dumps({"session": s, "item": i, "time": t}) for s, i, t in LOG]
    path.write_text("\n".join([*rows[:2], '{"session": 1, "it', *rows[2:]]) + "\n")
    with pytest.raises(UserError, match=r"no JSON objects: 1 \(log\.jsonl line 3: "):
        load(tmp_path, "clicks", path)
    assert raw(load(tmp_path, "clicks", path, "dataset.on_error=skip"), "train") == TRAIN


def test_not_all_rows_are_skipped(tmp_path: Path, log: Path):
    with pytest.raises(UserError, match=r"such as '1396310400': name their format with dataset\.time_format"):
        load(tmp_path, "clicks", log, "dataset.time_format=%Y-%m-%d", "dataset.on_error=skip")
    log.write_text("session,item,time\n,a,1396310400\n1,,1396310400\n")
    with pytest.raises(UserError, match=r"of 2 rows, 1 have no session .*1 have no item"):
        load(tmp_path, "clicks", log, "dataset.on_error=skip")
    log.write_text("session,item,time\n1,,1396310400\n1,a,1396310400,x\n")
    with pytest.raises(
        UserError, match=r"^\S+/log\.csv: of 1 rows, 1 have no item \(line 2: nothing\).*time_format\.$"
    ):
        load(tmp_path, "clicks", log, "dataset.on_error=skip")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["dataset.columns.session=visit"], r"expected the columns visit, .*; found session, item, time\. Name yours"),
        (["dataset.session_gap=30m"], r"dataset\.columns\.user=NAME"),
        (["dataset.events=[view]"], r"dataset\.columns\.event=NAME"),
        (["dataset.events=[view]", "dataset.columns.event=item"], r"has the events 10, 11, 12"),
        (
            ["dataset.where='item > 5'"],
            "where=item > 5: expected an SQL expression over the columns session, item, time",
        ),
        (["dataset.where='CAST(session AS BIGINT) = 77'"], "No row of .* is a click by"),
        (["dataset.where='CAST(time AS DATE) IS NULL'"], r"dataset\.where=|where="),
        (["dataset.separator=';;'"], r"dataset\.separator=;;: expected one character"),
        (["dataset.header=true"], r"dataset\.header=True: expected a list of names"),
        (["dataset.items=items.csv"], r"dataset\.items=items\.csv: expected options such as items\.path=FILE"),
        (["dataset.columns.item=1"], "expected the columns .*, 1, "),
        (["dataset.path=5"], "path=5: expected a file"),
        (["dataset.rules.test_days=1000000"], "leaves 0 training"),
        (["dataset.rules.test_from=0001-01-01"], "leaves 0 training"),
        (["dataset.rules.fraction=0.01"], r"rules\.fraction=0\.01: expected a share that leaves one of the 4 training"),
        (["dataset.nested=events"], "nested=events: expected one of the columns session, item, time"),
        (["dataset.time_zone=Mars"], "time_zone=Mars"),
        (["dataset.on_error=stop"], r"dataset\.on_error=stop: expected one of raise, skip"),
        (["dataset.rules.support=twice"], r"dataset\.rules\.support=twice: expected one of once, repeat"),
        (["dataset.rules.min_session_length=4"], "No session is left after the rules"),
        (["dataset.rules.test_days=60"], "leaves 0 training and 4 test sessions"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, log: Path, options, sentence: str):
    with pytest.raises(UserError, match=sentence) as error:
        load(tmp_path, "clicks", log, *options)
    assert "\n" not in str(error.value)
    assert list((tmp_path / "cache").glob("*")) == []


def test_a_file_of_one_session_says_what_is_missing(tmp_path: Path):
    path = tmp_path / "log.csv"
    path.write_text("session,item,time\n1,a,1396310400\n1,b,1396310401\n")
    with pytest.raises(UserError, match="leaves 0 training and 1 test sessions"):
        load(tmp_path, "clicks", path)
    path.write_text("session,item,time\n")
    with pytest.raises(UserError, match="has no rows"):
        load(tmp_path, "clicks", path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets a limit that Linux knows")
def test_a_full_disk_leaves_nothing_that_is_trusted(tmp_path: Path, log: Path):
    import resource

    log.write_text("session,item,time\n" + "".join(f"{i // 2},{i * 7919},{START + i}\n" for i in range(50_000)))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"Cannot write the prepared data .*File too large.*paths\.cache=FOLDER"):
            load(tmp_path, "clicks", log)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "cache").iterdir()) == []
