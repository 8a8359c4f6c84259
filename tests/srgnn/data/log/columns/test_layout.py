"""Every raw layout under its own configuration, a log in every form, and descriptions that do not fit."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from click_logs import DAY, LOG, START, TEST, TRAIN, load, raw, stamp

from srgnn.data import ClickLog, Columns, ItemTable, Rules
from srgnn.data.log.columns.layout import LogFormat, find_layout
from srgnn.data.log.raw.files import RawFiles
from srgnn.errors import ArgumentError, UserError


def yoochoose_log(path: Path) -> Path:
    path = path / "yoochoose-clicks.dat"
    path.write_text("".join(f"{s},{stamp(t, '%Y-%m-%dT%H:%M:%S.000Z')},{i},S\n" for s, i, t in LOG))
    return path


def diginetica_log(path: Path) -> Path:
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


def tmall_log(path: Path) -> Path:
    path = path / "dataset15.csv"
    # GCE-GNN ends at the first session above 120000; the last 100 of its time units are the test set.
    rows = [f"0\t{i}\t{s}\t{(t - START) // 60}\n" for s, i, t in LOG] + [
        "0\t10\t120001\t43201\n",
        "0\t11\t120001\t43202\n",
    ]
    path.write_text("UserId\tItemId\tSessionId\tTime\n" + "".join(rows))
    return path


def nowplaying_log(path: Path) -> Path:
    path = path / "nowplaying.csv"
    path.write_text("SessionId\tItemId\tTime\n" + "".join(f"{s}\t{i}\t{t}\n" for s, i, t in LOG))
    return path


MOVIES = {10: "Misérables, Les (1995)", 11: "Star Wars: Episode IV - A New Hope (1977)", 12: "$1,000,000 Duck (1971)"}


def ml1m(path: Path) -> Path:
    (path / "movies.dat").write_bytes(
        "".join(f"{i}::{title}::Drama|Children's\n" for i, title in MOVIES.items()).encode("latin1")
    )
    (path / "ratings.dat").write_text("".join(f"{s}::{i}::5::{t}\n" for s, i, t in LOG))
    return path / "ratings.dat"


def ml100k(path: Path) -> Path:
    flags = "|".join("0" * 18 + "1")
    rows = [f"{i}|{title}|01-Jan-1995||http://x|{flags}\n" for i, title in MOVIES.items()]
    (path / "u.item").write_bytes("".join(rows).encode("latin1"))
    (path / "u.data").write_text("".join(f"{s}\t{i}\t5\t{t}\n" for s, i, t in LOG))
    return path / "u.data"


def review(user: int, item: int, time: int) -> dict:
    """A review as in the files of 2023."""
    return {
        "rating": 5.0,
        "title": "Five stars",
        "text": "Lasts.\nSmells good",
        "images": [{"small_image_url": "https://x/1.jpg", "attachment_type": "IMAGE"}] if user == 2 else [],
        "asin": f"{item}-blue",
        "parent_asin": f"B0{item}",
        "user_id": f"AE{user}",
        "timestamp": time * 1000 + 259,
        "helpful_vote": 0,
        "verified_purchase": True,
    }


def amazon(path: Path) -> Path:
    with gzip.open(path / "meta_All_Beauty.jsonl.gz", "wt") as file:
        for item in (10, 11, 12):
            meta = {"main_category": "All Beauty", "title": f"Soap {item}", "average_rating": 4.8, "price": None}
            meta |= {"features": [], "images": [{"hi_res": None}], "categories": ["Beauty", "Soap"]}
            file.write(json.dumps(meta | {"details": {"Size": "1"}, "parent_asin": f"B0{item}"}) + "\n")
    with gzip.open(path / "All_Beauty.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(review(*click)) + "\n" for click in LOG)
    return path / "All_Beauty.jsonl.gz"


@pytest.mark.parametrize(
    ("layout", "items"), [(ml1m, "movies.dat"), (ml100k, "u.item")], ids=lambda each: getattr(each, "__name__", each)
)
def test_the_movies_of_movielens_keep_their_titles(tmp_path: Path, layout, items: str):
    options = [f"dataset.items.path={tmp_path}/{items}", "dataset.rules.test_from=null", "dataset.rules.test_days=7"]
    data = load(tmp_path, layout.__name__, layout(tmp_path), *options)
    assert raw(data, "train") == TRAIN
    assert raw(data, "test") == TEST
    assert dict(zip(data.vocabulary.ids, data.vocabulary.titles or (), strict=True)) == MOVIES
    if layout is ml1m:
        assert data.vocabulary.about["genres"].to_list() == ["Drama|Children's"] * 3
    else:
        assert data.vocabulary.about["Western"].to_list() == ["1"] * 3


def test_reviews_of_amazon_are_visits_of_their_users(tmp_path: Path):
    meta = f"dataset.items.path={tmp_path}/meta_All_Beauty.jsonl.gz"
    data = load(tmp_path, "amazon", amazon(tmp_path), meta, "dataset.rules.test_days=7")
    assert raw(data, "train") == [[f"B0{item}" for item in session] for session in TRAIN]
    assert raw(data, "test") == [[f"B0{item}" for item in session] for session in TEST]
    assert data.vocabulary.titles == ["Soap 10", "Soap 11", "Soap 12"]


def test_reviews_of_amazon_of_2018_are_read_as_well(tmp_path: Path):
    days = [(s, i, t - t % DAY) for s, i, t in LOG]  # their times are days
    rows = [{"reviewerID": f"A{s}", "asin": f"B{i}", "overall": 5.0, "unixReviewTime": t} for s, i, t in days]
    path = tmp_path / "Beauty.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    items = tmp_path / "meta.jsonl"
    items.write_text(json.dumps({"asin": "B10", "title": "Soap", "category": ["Beauty", "Soap"]}) + "\n")
    options = [f"dataset.items.path={items}", "dataset.items.id=asin", "dataset.rules.test_days=7"]
    data = load(tmp_path, "amazon", path, *options)
    assert raw(data, "train") == [[f"B{item}" for item in session] for session in TRAIN]
    assert dict(zip(data.vocabulary.ids, data.vocabulary.titles or (), strict=True))["B10"] == "Soap"


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        (yoochoose_log, []),
        (diginetica_log, []),
        (retailrocket, []),
        (otto, []),
        (tmall_log, []),
        (nowplaying_log, ["dataset.rules.test_days=7"]),  # its own rule is two months
    ],
)
def test_every_raw_layout_gives_the_same_sessions(tmp_path: Path, layout, options):
    data = load(tmp_path, layout.__name__, layout(tmp_path), *options)
    assert raw(data, "train") == TRAIN
    assert raw(data, "test") == TEST


@pytest.mark.parametrize("kind", ["csv", "tsv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("form", ["s", "ms", "iso", "datetime"])
def test_your_own_log_is_read_in_every_form(tmp_path: Path, kind: str, text: bool, form: str):
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


def test_a_log_may_have_a_column_of_any_name(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace("\n", ",0,0\n").replace("time,0,0", "time,row,key"))
    assert raw(load(tmp_path, "clicks", log), "train") == TRAIN


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
        (
            ["dataset.where='CAST(session AS BIGINT) = 77'"],
            r"No row of .* is a click under dataset\.events=null and dataset\.where=CAST",
        ),
        (["dataset.where='CAST(time AS DATE) IS NULL'"], r"dataset\.where="),
        (["dataset.separator=';;'"], r"dataset\.separator=;;: expected one character, several with quote=null"),
        (["dataset.encoding=utf-16"], r"dataset\.encoding=utf-16: expected an encoding that has"),
        (["dataset.items.encoding=latin9000"], r"dataset\.items\.encoding=latin9000: expected an encoding"),
        (["dataset.header=true"], r"dataset\.header=true: expected a list of names"),
        (
            ["dataset.items=items.csv"],
            r"items=items\.csv: expected an ItemTable, such as dataset\.items\.path=FILE",
        ),
        (["dataset.columns.item=1"], "expected the columns .*, 1, "),
        (["dataset.path=5"], "path=5: expected a file"),
        (["dataset.rules.test_days=1000000"], "leaves 0 training"),
        (["dataset.rules.test_from=0001-01-01"], "leaves 0 training"),
        (["dataset.rules.fraction=0.01"], r"rules\.fraction=0\.01: expected a share that leaves one of the 4 training"),
        (["dataset.nested=events"], "nested=events: expected a column of lists, but session, item, time hold none"),
        (["dataset.time_zone=Mars"], "time_zone=Mars"),
        (["dataset.on_error=stop"], r"dataset\.on_error=stop: expected one of raise, skip"),
        (["dataset.rules.support=twice"], r"dataset\.rules\.support=twice: expected one of once, repeat"),
        (["dataset.rules.min_session_length=4"], "No session is left after the rules"),
        (["dataset.rules.test_days=60"], r"leaves 0 training and 4 test sessions.*dataset\.rules\.test_days=DAYS"),
    ],
)
def test_a_wrong_description_gives_one_sentence(tmp_path: Path, log: Path, options, sentence: str):
    with pytest.raises(UserError, match=sentence) as error:
        load(tmp_path, "clicks", log, *options)
    assert "\n" not in str(error.value)
    assert list((tmp_path / "cache").glob("*")) == []


def test_a_python_user_sees_no_option_names(tmp_path: Path, log: Path):
    data = ClickLog(str(log), columns=Columns(item="item"), rules=Rules(min_item_support=1), cache=str(tmp_path)).load()
    assert raw(data, "train") == TRAIN
    with pytest.raises(UserError, match=r"found session, item, time\. Name yours with columns\.session=NAME, or cut"):
        ClickLog(str(log), columns=Columns(session="visit")).load()
    with pytest.raises(UserError, match=r"rules={'test_days': 7}: expected a Rules, such as rules\.test_days=7\."):
        ClickLog(str(log), rules={"test_days": 7})


@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        ("name", None, "text, such as clicks."),
        ("cache", None, "text, such as data/prepared."),
        ("time_zone", None, "text, such as UTC or Europe/Berlin."),
        ("time_format", 5, "text, such as ms or '%d.%m.%Y %H:%M', or null."),
        ("where", True, "text, such as 'price IS NOT NULL', or null."),
        ("nested", ["events"], "text, such as events, or null."),
        ("header", ["session", 2], "a list of names."),
        ("events", True, "a name, such as view, a list of names, or null."),
        ("events", {"view": 1}, "a name, such as view, a list of names, or null."),
        ("missing", [None], "a name, such as NULL, a list of names, or null."),
    ],
)
def test_an_argument_of_the_wrong_type_is_refused(argument: str, value, expected: str):
    with pytest.raises(ArgumentError) as error:
        ClickLog("log.csv", **{argument: value})
    assert str(error.value) == f"{argument}={value}: expected {expected}"


@pytest.mark.parametrize("value", [True, 5.0, [None], [["item"]], {"a": 1}])
def test_a_column_name_of_the_wrong_type_is_refused(value):
    with pytest.raises(ArgumentError, match=r"^columns\.item=.*: expected a name, such as item_id, a list of names"):
        Columns(item=value)


def test_event_types_may_be_numbers(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace("\n", ",1\n").replace("time,1", "time,type") + "1,12,1396310401,2\n")
    assert raw(load(tmp_path, "clicks", log, "dataset.events=1"), "train") == TRAIN
    assert raw(load(tmp_path, "clicks", log, "dataset.events=[1]"), "train") == TRAIN


@pytest.mark.parametrize(
    ("header", "sentence", "options"),
    [
        (
            "",
            r"found 1, 10, 1396310400, which look like values: if the file has no header, name all its columns with "
            r"dataset\.header='\[session_id,item_id,timestamp\]'\.$",
            ["dataset.header=[session_id,item_id,timestamp]"],
        ),
        (
            "0,1,2\n",
            "found 0, 1, 2. Name yours",
            ["dataset.columns.session=0", "dataset.columns.item=1", "dataset.columns.time=2"],
        ),
        (
            "SESSION,Item ID,time\n",
            r"Name yours with dataset\.columns\.session=SESSION dataset\.columns\.item='Item ID'\.$",
            ["dataset.columns.session=SESSION", "dataset.columns.item=Item ID"],
        ),
        (
            '"[visit]","item, sku",time\n',
            r"found '\[visit\]', 'item, sku', time\. Name yours with",
            [r"dataset.columns.session='[visit]'", "dataset.columns.item='item, sku'"],
        ),
        (
            "session,item\u200b_id,time\n",
            r"found session, 'item\\u200b_id', time: 'item\\u200b_id' has invisible characters, so name all columns",
            ["dataset.header=[session,item_id,time]"],
        ),
    ],
)
def test_a_header_that_is_missing_or_unusual(tmp_path: Path, log: Path, header: str, sentence: str, options):
    log.write_text(header + log.read_text().partition("\n")[2])
    with pytest.raises(UserError, match=sentence):
        load(tmp_path, "clicks", log)
    if options:
        assert raw(load(tmp_path, "clicks", log, *options), "train") == TRAIN


@pytest.mark.parametrize("signs", ["[]", "``"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_names_as_sql_quotes_them(tmp_path: Path, log: Path, signs: str, separator: str):
    header, rows = log.read_text().split("\n", 1)
    quoted = separator.join(f"{signs[0]}{name}{signs[1]}" for name in header.split(","))
    rows = rows.replace(",", separator)
    log.write_text(f"{quoted}\n{rows}")
    with pytest.raises(
        UserError, match=r"has its names in brackets or .* with dataset\.header='\[session,item,time\]'"
    ):
        load(tmp_path, "clicks", log)
    data = load(tmp_path, "clicks", log, "dataset.header=[session,item,time]")
    assert (raw(data, "train"), data.manifest["notices"]) == (TRAIN, [])


def test_values_as_mysql_quotes_names(tmp_path: Path, log: Path):
    log.write_text("".join(f"`{line}`\n".replace(",", "`,`") for line in log.read_text().splitlines()))
    with pytest.raises(UserError, match=r"names in brackets .*: read the file without them with dataset\.quote="):
        load(tmp_path, "clicks", log)
    assert raw(load(tmp_path, "clicks", log, "dataset.quote='`'"), "train") == TRAIN


def test_names_for_files_without_headers_are_those_of_one_file(tmp_path: Path, log: Path):
    rows = log.read_text().splitlines(keepends=True)[1:]
    for name, part in (("a", rows[:5]), ("b", rows[5:])):
        (tmp_path / f"{name}.csv").write_text("".join(part))
    log.unlink()
    with pytest.raises(UserError, match=r"found 1, 10, 1396310400, which .*header='\[session_id,item_id,timestamp\]'"):
        load(tmp_path, "clicks", tmp_path / "*.csv")
    data = load(tmp_path, "clicks", tmp_path / "*.csv", "dataset.header=[session_id,item_id,timestamp]")
    assert raw(data, "train") == TRAIN


def test_names_for_a_missing_header_follow_the_values(tmp_path: Path):
    path = tmp_path / "log.tsv"
    path.write_text("2014-04-01 10:00:00\tu1\tlamp\t5\n")
    with pytest.raises(UserError, match=r"header='\[timestamp,session_id,item_id,column_4\]'"):
        load(tmp_path, "clicks", path)


def test_a_header_may_hold_a_number(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace("session,item", "visit,2014"))
    with pytest.raises(UserError, match=r"found visit, 2014, time\. Name yours with dataset\.columns\.session=NAME"):
        load(tmp_path, "clicks", log)
    options = ["dataset.columns.session=visit", "dataset.columns.item=2014"]
    assert raw(load(tmp_path, "clicks", log, *options), "train") == TRAIN


def test_a_log_of_another_separator_says_so(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace(",", "~"))
    with pytest.raises(UserError, match=r"session~item~time': name the separator between them with .*=\"'~'\"\.$"):
        load(tmp_path, "clicks", log)
    assert raw(load(tmp_path, "clicks", log, "dataset.separator='~'"), "train") == TRAIN


def test_the_layout_can_be_sent_to_another_process(tmp_path: Path, log: Path):
    layout = find_layout(RawFiles((log,)), LogFormat(Columns(), where="time > '0'"))
    for expression in (*layout.readers.values(), layout.is_click):
        assert pl.Expr.deserialize(expression.meta.serialize()).meta.eq(expression)


ALONE = "expected a condition on each row alone, without functions of several rows such as AVG, COUNT or ROW_NUMBER"


@pytest.mark.parametrize(
    "where",
    [
        *("price > AVG(price)", "price = MAX(price)", "COUNT(*) > 5000", "ABS(price) > AVG(price) + 1"),
        *("SUM(price) OVER (PARTITION BY session) > 1", "ROW_NUMBER() OVER (ORDER BY price) > 1"),
        *("LAG(price) OVER (ORDER BY time) = 1", "price > 1 AND NOT price < MEDIAN(price)"),
    ],
)
@pytest.mark.parametrize("price", [[1, 2, 3], [5, 5, 5]])  # all rows alike give no hint by their answers
def test_a_condition_that_depends_on_other_rows_is_refused(tmp_path: Path, where: str, price: list[int]):
    path = tmp_path / "log.parquet"
    frame = pl.DataFrame(LOG, schema=["session", "item", "time"], orient="row")
    frame.with_columns(price=pl.Series((price * 4)[: len(LOG)])).write_parquet(path)
    with pytest.raises(ArgumentError) as error:
        find_layout(RawFiles((path,)), LogFormat(Columns(), where=where))
    assert str(error.value) == f"where={where}: {ALONE}."


def test_the_answers_tell_where_the_expression_does_not(tmp_path: Path):
    path = tmp_path / "log.parquet"
    pl.DataFrame(LOG, schema=["session", "item", "time"], orient="row").write_parquet(path)
    with pytest.raises(ArgumentError, match="expected a condition on each row alone"):
        find_layout(RawFiles((path,)), LogFormat(Columns(), where="SUM(item % 2) OVER (PARTITION BY session) > 0"))


@pytest.mark.parametrize(
    "where",
    [
        *("price > 1", "price IN (1, 2)", "price NOT IN (9)", "price % 2 = 0", "ROUND(price / 2, 1) > 0.5"),
        *("CASE WHEN price > 1 THEN TRUE ELSE FALSE END", "price BETWEEN 1 AND 3", "GREATEST(price, item) > 1"),
        *("CAST(price AS VARCHAR) LIKE '1%'", "COALESCE(price, 0) > 1", "price IS NOT NULL", "1 = 1"),
        "TRY_CAST(CAST(price AS VARCHAR) AS BIGINT) > 1 AND EXTRACT(YEAR FROM CAST('2014-04-01' AS DATE)) = 2014",
    ],
)
def test_a_condition_on_each_row_alone_is_taken(tmp_path: Path, where: str):
    path = tmp_path / "log.parquet"
    frame = pl.DataFrame(LOG, schema=["session", "item", "time"], orient="row")
    frame.with_columns(price=pl.Series([1, 2, 3, None, 1, 2, 3, 4, 5, 6])).write_parquet(path)
    assert find_layout(RawFiles((path,)), LogFormat(Columns(), where=where)).is_click is not None


@pytest.mark.parametrize(("argument", "value"), [("path", 5), ("path", [None]), ("id", 1), ("title", ["name"])])
def test_an_item_table_refuses_arguments_of_the_wrong_type(argument: str, value):
    with pytest.raises(ArgumentError, match=f"^{argument}="):
        ItemTable(**{argument: value})
