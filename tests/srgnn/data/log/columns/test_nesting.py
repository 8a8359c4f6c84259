"""Lists and records in the columns of a log."""

import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click_logs import LOG, START, TEST, TRAIN, load, raw, stamp

from srgnn.data.log.columns.layout import Columns, LogFormat, find_layout
from srgnn.data.log.columns.nesting import lists_in_step
from srgnn.data.log.raw.files import RawFiles
from srgnn.errors import UserError


def of_session(number: int, name: str) -> list[int]:
    return [click[{"item": 1, "time": 2}[name]] for click in LOG if click[0] == number]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_column_may_be_the_path_of_a_field(tmp_path: Path, kind: str):
    path = tmp_path / f"log.{kind}"
    rows = [{"visit": {"id": s}, "product": {"ids": {"sku": i}, "name": "x"}, "time": t} for s, i, t in LOG]
    frame = pl.DataFrame(rows)
    frame.write_parquet(path) if kind == "parquet" else frame.write_ndjson(path)
    options = ["dataset.columns.session=visit.id", "dataset.columns.item=product.ids.sku"]
    data = load(tmp_path, "clicks", path, *options)
    assert (raw(data, "train"), raw(data, "test")) == (TRAIN, TEST)
    with pytest.raises(UserError, match=r"found visit\.id, product\.ids\.sku, product\.name, time\. Name yours"):
        load(tmp_path, "clicks", path, options[0])
    with pytest.raises(
        UserError,
        match=r"the column product holds records: name a field of it with dataset\.columns\.item=product\.ids\.sku or "
        r"dataset\.columns\.item=product\.name\.",
    ):
        load(tmp_path, "clicks", path, options[0], "dataset.columns.item=product")


def test_a_column_whose_name_has_a_dot_is_no_path(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace("item", "item.sku"))
    assert raw(load(tmp_path, "clicks", log, "dataset.columns.item=item.sku"), "train") == TRAIN


def test_lists_of_records_may_be_a_path_and_hold_paths(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    lines = []
    for number in (1, 2, 3, 4):
        # The fields of a click count, not those of the same name outside.
        clicks = [{"item": {"sku": i}, "time": t, "session": "inner"} for s, i, t in LOG if s == number]
        lines.append({"session": {"id": number}, "data": {"clicks": clicks}, "item": {"sku": 0}, "time": 0})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = ["dataset.columns.session=session.id", "dataset.columns.item=item.sku"]
    data = load(tmp_path, "clicks", path, "dataset.nested=data.clicks", *options)
    assert (raw(data, "train"), raw(data, "test")) == (TRAIN, TEST)


def test_a_log_with_lists_of_records_is_sent_to_nested(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    lines = [{"session": s, "clicks": [{"item": i, "time": t} for n, i, t in LOG if n == s]} for s in (1, 2, 3, 4)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=r"make each record in clicks a row of its own with dataset\.nested=clicks\.$"):
        load(tmp_path, "clicks", path)
    assert raw(load(tmp_path, "clicks", path, "dataset.nested=clicks"), "train") == TRAIN


def test_lists_in_step_are_unpacked_together(tmp_path: Path):
    path = tmp_path / "log.parquet"
    rows = [(s, of_session(s, "item"), of_session(s, "time")) for s in (1, 2, 3, 4)]
    pl.DataFrame(rows, schema=["session", "item", "time"], orient="row").write_parquet(path)
    with pytest.raises(
        UserError, match=r"item holds lists: make each value a row of its own with dataset\.nested=item\."
    ):
        load(tmp_path, "clicks", path)
    assert raw(load(tmp_path, "clicks", path, "dataset.nested=item"), "train") == TRAIN


@pytest.mark.parametrize("dtype", [pl.List(pl.Int64), pl.Array(pl.Int64, 3)])
def test_the_values_of_a_list_share_the_time_of_their_row_and_keep_their_order(tmp_path: Path, dtype):
    path = tmp_path / "log.parquet"
    frame = pl.DataFrame({"session": [1, 2], "item": pl.Series([[3, 1, 3], [1, 3, 2]], dtype=dtype)})
    frame.with_columns(time=1396310400).write_parquet(path)
    layout = find_layout(RawFiles((path,)), LogFormat(Columns(), nested="item"))
    rows = layout.frame.select(**layout.readers).collect()
    assert rows.select("key", "item").rows() == [(1, 3), (1, 1), (1, 3), (2, 1), (2, 3), (2, 2)]
    assert layout.shares_times
    with pytest.raises(UserError, match=r"dataset\.nested=session: expected a column of lists, such as item\."):
        load(tmp_path, "clicks", path, "dataset.nested=session")


def joined(separator: str):
    return lambda values: separator.join(map(str, values))


LISTS = {
    "python": str,
    "json": lambda values: json.dumps([str(value) for value in values]),
    "numpy": lambda values: f"[{' '.join(map(str, values))}]",
    "postgres": lambda values: str(values).replace("[", "{").replace("]", "}"),
    **{separator: joined(separator) for separator in (" ", ",", ", ", "|", ";", " > ")},
}


def write_lists(path: Path, items: dict[int, object], times: dict[int, object]) -> Path:
    frame = pl.DataFrame([(s, items[s], times[s]) for s in items], schema=["session", "item", "time"], orient="row")
    {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}[path.suffix](path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("form", LISTS.values(), ids=LISTS)
def test_lists_may_be_text(tmp_path: Path, form, kind: str):
    items, times = ({s: form(of_session(s, name)) for s in (1, 2, 3, 4)} for name in ("item", "time"))
    path = write_lists(tmp_path / f"log.{kind}", {**items, 5: form([])}, {**times, 5: form([])})
    data = load(tmp_path, "clicks", path, "dataset.nested=item")
    assert (raw(data, "train"), raw(data, "test")) == (TRAIN, TEST)


@pytest.mark.parametrize("form", ["%s", "%b %d, %Y %H:%M:%S", "%Y-%m-%d %H:%M:%S"])
def test_lists_of_text_may_share_one_time(tmp_path: Path, form: str):
    items = {s: joined(" ")(of_session(s, "item")) for s in (1, 2, 3, 4)}
    times = {s: stamp(of_session(s, "time")[0], form) for s in items}
    data = load(tmp_path, "clicks", write_lists(tmp_path / "log.csv", items, times), "dataset.nested=item")
    assert (raw(data, "train"), raw(data, "test")) == (TRAIN, TEST)


SPACED = ("%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", "%B %d, %Y %H:%M", "%d %b %Y %H:%M", "%Y-%m-%d %H:%M:%S UTC")
COMMAS = ("%b %d, %Y", "%Y-%m-%dT%H:%M:%S,123", "%a, %d %b %Y %H:%M:%S GMT", "%b %d, %Y, %I:%M:%S %p")


@pytest.mark.parametrize("form", [*SPACED, *COMMAS, "[%d/%b/%Y:%H:%M:%S +0000]"])
def test_a_time_with_separators_is_no_list_in_step(form: str):
    times = [stamp(START + n * 86_400, form) for n in range(3)]
    for length in (2, 3, 4, 6):
        frame = pl.LazyFrame({"item": [" ".join(map(str, range(length)))] * 3, "time": times})
        assert lists_in_step(frame, "item", ["item", "time"]) == ["item"]


def test_lists_of_two_times_are_in_step():
    first, second = (stamp(START + n * 60, "%Y-%m-%d %H:%M:%S") for n in range(2))
    for times in (f"{first},{second}", f"['{first}', '{second}']", f"{START} {START + 60}"):
        frame = pl.LazyFrame({"item": ["1,2"] * 3, "time": [times] * 3})
        assert lists_in_step(frame, "item", ["item", "time"]) == ["item", "time"]


def test_values_of_text_lists_may_hold_separators(tmp_path: Path):
    names = {10: "a, b", 11: 'c"d', 12: "it's"}
    for form in (str, json.dumps):
        items = {s: form([names[i] for i in of_session(s, "item")]) for s in (1, 2, 3, 4)}
        times = {s: str(of_session(s, "time")) for s in items}
        data = load(tmp_path, "clicks", write_lists(tmp_path / "log.csv", items, times), "dataset.nested=item")
        assert raw(data, "train") == [[names[i] for i in session] for session in TRAIN]


@pytest.mark.parametrize(
    "form", ["[Levi's jeans, Men's hat, 7]", "Levi's jeans -> Men's hat -> 7", "(Levi's jeans,Men's hat,7)"]
)
def test_apostrophes_and_arrows_in_text_lists_are_not_quotes_and_signs(tmp_path: Path, form: str):
    items = dict.fromkeys((1, 2, 3), form)
    times = {s: START + 10 * s * 86_400 for s in items}
    data = load(tmp_path, "clicks", write_lists(tmp_path / "log.csv", items, times), "dataset.nested=item")
    assert raw(data, "train") == [["Levi's jeans", "Men's hat", "7"]] * 2


@pytest.mark.parametrize("value", ["a", '[{"id": 1}, {"id": 2}]', '{"id": 1, "n": 2}'])
def test_text_that_is_no_list_is_reported(tmp_path: Path, value: str):
    path = write_lists(tmp_path / "log.csv", dict.fromkeys((1, 2), value), dict.fromkeys((1, 2), START))
    with pytest.raises(UserError, match=r"dataset\.nested=item: expected a column of lists, but session, item, time"):
        load(tmp_path, "clicks", path, "dataset.nested=item")


@pytest.mark.parametrize("number", [3, 1500])
@pytest.mark.parametrize(("kind", "form"), [("parquet", list), ("jsonl", list), ("csv", str), ("csv", joined("|"))])
def test_lists_in_step_of_different_lengths_are_reported(tmp_path: Path, kind: str, form, number: int):
    items = {s: form([1, 2, 3]) for s in range(1, number + 1)}
    times = {s: form([START, START + 1] if s == number else [START, START + 1, START + 2]) for s in items}
    place = f"row {number}" if kind == "parquet" else f"line {number + (kind == 'csv')}"
    with pytest.raises(
        UserError, match=rf"log\.{kind} {place}: the lists in the columns item, time have 3, 2 values: expected"
    ):
        load(tmp_path, "clicks", write_lists(tmp_path / f"log.{kind}", items, times), "dataset.nested=item")


@pytest.mark.parametrize("items", ["a b", "a;b", "[1, 2]"])
def test_a_log_with_one_row_per_session_names_its_column_of_lists(tmp_path: Path, items: str):
    path = tmp_path / "log.csv"
    rows = "".join(f'{n},"{items}",2014-04-{n:02}\n' for n in range(1, 20))
    header = "session,item,time\n"
    path.write_text(f"{header}{rows}{header}")
    with pytest.raises(UserError, match=r"make each value of its list a click with dataset\.nested=item\."):
        load(tmp_path, "clicks", path, "dataset.missing=[]")
    data = load(tmp_path, "clicks", path, "dataset.nested=item")
    assert raw(data, "train")[0] == (["a", "b"] if items[0] == "a" else [1, 2])
    assert ": 1 header line among the rows left out" in data.manifest["notices"][0]["text"]
    path.write_text("session,last,time,item\n" + "".join(f'{n},{n % 3},2014-04-{n:02},"[1,2]"\n' for n in range(1, 20)))
    with pytest.raises(UserError, match=r"a click with dataset\.nested=item\.$"):
        load(tmp_path, "clicks", path, "dataset.columns.item=last")


@pytest.mark.parametrize("form", ["%Y-%m-%d", "[%d/%b/%Y:%H:%M:%S +0000]"])
def test_a_log_without_lists_gets_no_remedy_for_them(tmp_path: Path, form: str):
    path = tmp_path / "log.csv"
    times = (stamp(START + n * 86_400, form) for n in range(1, 20))
    path.write_text("session,item,time\n" + "".join(f"{n},lamp,{time}\n" for n, time in enumerate(times)))
    with pytest.raises(UserError, match=r"or name the column of sessions with dataset\.columns\.session=NAME\.$"):
        load(tmp_path, "clicks", path)


def test_times_that_are_lists_are_not_sent_to_nested(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"session": s, "item": i, "time": [2014, 4, 1, 10]}) + "\n" for s, i, _ in LOG))
    with pytest.raises(UserError, match=r"the column time holds lists, not times: write them like 2014-04-01 10:00:00"):
        load(tmp_path, "clicks", log)


def test_a_file_that_is_written_by_columns_is_called_so_in_a_short_sentence(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    columns = {name: {str(row): click[place] for row, click in enumerate(LOG * 20)}
               for place, name in enumerate(("session", "item", "time"))}  # fmt: skip
    log.write_text(json.dumps(columns))
    with pytest.raises(UserError, match=r"is written by columns: write it by rows") as error:
        load(tmp_path, "clicks", log)
    assert len(str(error.value)) < 300
    log.write_text(json.dumps({"session": 1, "time": 2, "item": {f"field{number}": 1 for number in range(500)}}))
    with pytest.raises(UserError, match="and 400 more") as error:
        load(tmp_path, "clicks", log)
    assert len(str(error.value)) < 5000


def test_maps_are_not_read_as_ids(tmp_path: Path):
    maps = pa.array([[("a", "1")]], pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table({"session": maps, "item": [1], "time": [START]}), tmp_path / "log.parquet")
    with pytest.raises(UserError, match=r"holds (maps: write the value that you need|lists)"):  # lists in older polars
        load(tmp_path, "clicks", tmp_path / "log.parquet")
