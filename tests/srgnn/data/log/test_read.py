"""Later rows that contradict the layout of the first ones."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from click_logs import DAY, LOG, START, TRAIN, load, raw
from raw_rows import CSV, HEADER, LINES, ROWS, ids, read_rows, typed, written

from srgnn.data.log.raw import files
from srgnn.errors import UserError


@pytest.fixture(autouse=True)
def _one_row_decides_the_layout(monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 1)


def test_json_fields_may_come_late_or_in_another_file(tmp_path: Path):
    rows = [{"session": s, "item": i, "time": t} for s, i, t in LOG]
    rows[5:] = [row | {"event": "view"} for row in rows[5:]]
    options = ["dataset.columns.event=event", "dataset.events=view", "dataset.rules.test_days=1"]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert raw(load(tmp_path, "clicks", tmp_path / "a.jsonl", *options), "train") == TRAIN[2:]
    for name, part in (("b", rows[:5]), ("c", rows[5:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    with pytest.raises(UserError, match=r"b\.jsonl has no column event, which dataset\.events= needs: add the column"):
        load(tmp_path, "clicks", None, f"dataset.path=['{tmp_path}/b.jsonl','{tmp_path}/c.jsonl']", *options)
    for name, part in (("b", rows[:6]), ("c", rows[6:])):  # the first rows of one file lack the column
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    data = load(tmp_path, "clicks", None, f"dataset.path=['{tmp_path}/b.jsonl','{tmp_path}/c.jsonl']", *options)
    assert raw(data, "train") == TRAIN[2:]
    where = ["dataset.where='event IS NOT NULL'", options[-1]]
    assert raw(load(tmp_path, "clicks", tmp_path / "a.jsonl", *where), "train") == TRAIN[2:]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_file_without_the_column_that_decides_what_is_a_click_is_named(tmp_path: Path, kind: str):
    frame = pl.DataFrame(LOG, schema=["session", "item", "time"], orient="row").with_columns(event=pl.lit("view"))
    for name, part in (("a", frame[:5]), ("b", frame[5:].drop("event")), ("c", frame[5:])):
        path = tmp_path / f"{name}.{kind}"
        {"csv": part.write_csv, "jsonl": part.write_ndjson, "parquet": part.write_parquet}[kind](path)
    lacking = f"dataset.path=['{tmp_path}/a.{kind}','{tmp_path}/b.{kind}']"
    for option in ("dataset.events=view", "\"dataset.where='event = \\'view\\''\"", "dataset.where='event IS NULL'"):
        argument = option.strip('"').partition("=")[0]
        with pytest.raises(UserError, match=rf"b\.{kind} has no column event, which {argument}= needs: add the column"):
            load(tmp_path, "clicks", None, lacking, option.strip('"').replace("\\", "\\"))
    whole = lacking.replace("/b.", "/c.")
    assert raw(load(tmp_path, "clicks", None, whole, "dataset.events=view"), "train") == TRAIN
    assert raw(load(tmp_path, "clicks", None, lacking), "train") == TRAIN


@pytest.mark.parametrize("options", [[], ["dataset.on_error=skip"]])
@pytest.mark.parametrize("place", [0, 1])
def test_a_file_without_a_header_beside_others_is_no_bad_rows(tmp_path: Path, log: Path, place: int, options):
    header, *rows = log.read_text().splitlines(keepends=True)
    parts = [rows[:5], rows[5:]]
    parts[1 - place].insert(0, header)
    log.unlink()
    for name, part in zip("ab", parts, strict=True):
        (tmp_path / f"{name}.csv").write_text("".join(part))
    sentence = (
        rf"{'ab'[place]}\.csv has no column session, which .* looks like values \({rows[5 * place][0]}, .*if it has"
    )
    with pytest.raises(UserError, match=sentence) as error:
        load(tmp_path, "clicks", tmp_path / "*.csv", *options)
    assert "dataset.header='[session,item,time]', or leave the file out of dataset.path=." in str(error.value)
    data = load(tmp_path, "clicks", tmp_path / "*.csv", "dataset.header=[session,item,time]")
    assert raw(data, "train") == TRAIN


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("nothing", [None, "NULL", float("nan")])
@pytest.mark.parametrize("column", ["session", "item", "time", "place"])
def test_a_column_without_values_in_the_first_rows(tmp_path: Path, column: str, nothing, kind: str):
    clicks = [{"session": s, "item": i, "time": t, "place": place} for place, (s, i, t) in enumerate(LOG)]
    if nothing == "NULL":
        clicks = [click | {column: str(click[column])} for click in clicks]
    table = pl.DataFrame([*(click | {column: nothing} for click in clicks[:3]), *clicks], strict=False)
    path = tmp_path / f"log.{kind}"
    {"csv": table.write_csv, "jsonl": table.write_ndjson, "parquet": table.write_parquet}[kind](path)
    data = load(tmp_path, "clicks", path, "dataset.on_error=skip", "dataset.columns.order=place")
    assert raw(data, "train") == TRAIN
    assert [step["clicks"] for step in data.manifest["steps"][:2]] == [len(LOG) + 3, len(LOG)]


def test_lists_of_text_may_begin_below_the_first_rows(tmp_path: Path):
    rows = [f"{s},,2014-04-01\n" for s in range(1200)] + ["1,7 8,2014-04-01\n", "2,8 7,2014-05-01\n"]
    path = written(tmp_path / "log.csv", "session,item,time\n" + "".join(rows))
    data = load(tmp_path, "clicks", path, "dataset.nested=item", "dataset.rules.test_days=7")
    assert (raw(data, "train"), raw(data, "test")) == ([[7, 8]], [[8, 7]])


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("SESSION", ": rename its column SESSION to session, or leave the file out of dataset.path=."),
        ("visit", ": add the column, or rename the one of visit, item, time that holds it, or leave"),
    ],
)
@pytest.mark.parametrize("options", [[], ["dataset.on_error=skip"]])
def test_a_file_of_other_names_is_no_bad_rows(tmp_path: Path, kind: str, name: str, remedy: str, options):
    frame = pl.DataFrame(LOG, schema=["session", "item", "time"], orient="row")
    for file, part in (("a", frame[:5]), ("b", frame[5:].rename({"session": name}))):
        path = tmp_path / f"{file}.{kind}"
        {"csv": part.write_csv, "jsonl": part.write_ndjson, "parquet": part.write_parquet}[kind](path)
    with pytest.raises(UserError) as error:
        load(tmp_path, "clicks", f"{tmp_path}/*.{kind}", *options)
    assert f"/b.{kind} has no column session, which other files have{remedy}" in str(error.value)


def test_json_ids_of_two_types_are_text(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    rows = [(1, 5, 0), (1, "x", 1), ("one", 5, 30 * DAY), ("one", "x", 30 * DAY + 1)]
    path.write_text("".join(json.dumps({"session": s, "item": i, "time": START + t}) + "\n" for s, i, t in rows))
    assert load(tmp_path, "clicks", path).vocabulary.ids == ["5", "x"]


def test_a_log_may_contradict_its_layout_in_several_ways(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    rows = [json.dumps({"session": s, "item": i, "time": t} | ({"event": "view"} if s > 1 else {})) for s, i, t in LOG]
    path.write_text("\n".join([*rows[:2], '{"session": 1, "it', *rows[2:]]) + "\n")
    options = ["dataset.events=view", "dataset.on_error=skip"]
    assert raw(load(tmp_path, "clicks", path, *options), "train") == TRAIN[1:]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (HEADER + "1\n" + "".join(f"{line}\n" for line in LINES), [(1, None), *ROWS]),
        (CSV + "2,11\n2,12,2014-04-02,\n,,,\n", [*ROWS, (2, 11), (2, 12)]),
        (CSV.replace("\n", "\r\n", 2) + '2,11,2014-04-02,"x"\r\n', [*ROWS, (2, 11)]),
        (CSV.replace(",x", ",") + '2,"11",2014-04-02,"a, ""b"""', [*ROWS, (2, 11)]),
        (CSV.replace("x", "x" * 3_000_000), ROWS),
    ],
)
def test_rows_with_fewer_fields_and_other_line_ends_are_read(tmp_path: Path, content: str, rows: list):
    assert ids(written(tmp_path / "log.csv", content)) == rows
    assert ids(written(tmp_path / "log.csv.gz", gzip.compress(content.encode()))) == rows


def test_a_surplus_field_in_the_first_row_is_like_any_other(tmp_path: Path):
    path = written(tmp_path / "log.csv", CSV.replace(",x", ",x,y", 1))
    with pytest.raises(UserError, match=r"more fields than the header: 1 \(log\.csv line 2: "):
        ids(path)
    assert ids(path, skip=True) == ROWS[1:]


def test_a_broken_line_of_one_file_leaves_the_others_whole(tmp_path: Path):
    for name, end in (("a", ""), ("b", '3,12,2014-04-03,12" z\n'), ("c", "")):
        written(tmp_path / f"{name}.csv", ("# c\n" if name == "c" else "") + CSV + end)
    with pytest.raises(UserError, match=r"a\.csv \(and 2 more\) has lines with a stray quote: 1 \(b\.csv line 5: "):
        ids(str(tmp_path / "*.csv"))
    rows = read_rows(str(tmp_path / "*.csv"), skip=True)
    assert rows.table.select("key", "item").collect().rows() == ROWS * 3
    assert rows.layout.files.named == tuple(tmp_path / f"{name}.csv" for name in "abc")
    assert len(rows.notices) == 1


def test_a_damaged_archive_is_reported(tmp_path: Path):
    content = "".join(f"{number},{number % 97},2014-04-01,{number**3}\n" for number in range(50_000))
    content = gzip.compress((HEADER + content).encode())
    for cut in (20, len(content) // 2, len(content) - 4):
        with pytest.raises(UserError, match=r"log\.csv\.gz is truncated or damaged") as error:
            ids(written(tmp_path / "log.csv.gz", content[:cut]))
        assert str(error.value).endswith("copy it again.")


def test_many_rows_are_numbered_across_quoted_line_ends(tmp_path: Path):
    lines = [f'{number},{number},2014-04-01,"a{chr(10) * (number % 3)}b"' for number in range(20_000)]
    path = written(tmp_path / "log.csv", HEADER + "\n".join(lines) + '\n7,7,2014-04-01,12" z\n')
    with pytest.raises(UserError, match=r"stray quote: 1 \(log\.csv line 40001: "):
        ids(path)
    rows = read_rows(path, skip=True)
    assert rows.table.select("key").collect()["key"].to_list() == list(range(20_000))
    numbered = rows.layout.files.rows(numbered=True).collect()["_line"]
    assert numbered[-1] == 2 + sum(1 + number % 3 for number in range(19_999))
    assert rows.notices == []


def test_headers_among_the_rows_are_no_values_of_a_condition(tmp_path: Path, log: Path):
    header, rows = log.read_text().split("\n", 1)
    log.write_text(f"{header}\n{rows}{header}\n")
    data = load(tmp_path, "clicks", log, "dataset.where='CAST(time AS BIGINT) > 0'")
    assert raw(data, "train") == TRAIN
    assert data.manifest["steps"][0]["clicks"] == len(LOG)
    assert ": 1 header line among the rows left out" in data.manifest["notices"][0]["text"]


@pytest.mark.parametrize("sample", [1, 1000])
@pytest.mark.parametrize("later", [{"sku": 4}, [4, 5], [{"sku": 4}]])
@pytest.mark.parametrize("first", [7, "a"])
def test_a_record_or_a_list_among_ids_of_json_lines_is_one_bad_row(
    tmp_path: Path, first: object, later: object, sample: int, monkeypatch
):
    monkeypatch.setattr(files, "SAMPLE", sample)
    rows = [{"session_id": 1, "item_id": item, "timestamp": 1396310400} for item in (first, first, later, first)]
    path = written(tmp_path / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=r"of 4 rows, 1 has no item \(line 3: .*on_error=skip"):
        load(tmp_path, "clicks", path)
    table = read_rows(path, skip=True).table.select("key", "item").collect()
    assert table["item"].to_list() == [first, first, None, first]  # integers, too, as without that row


def test_spaces_around_the_names_of_json_fields_are_removed_with_a_warning(tmp_path: Path):
    row = {" session_id": 1, "item_id ": 7, "timestamp": 1396310400, "note": 5}
    rows = [row, row | {"note": {"text": "x"}}]  # a type of its own, in a field that is not used
    rows_read = read_rows(written(tmp_path / "log.jsonl", "".join(json.dumps(each) + "\n" for each in rows)))
    assert rows_read.table.select("key", "item").collect().rows() == [(1, 7), (1, 7)]
    (notice,) = rows_read.notices
    assert notice.text.endswith("log.jsonl: spaces removed from 2 column names (' session_id', 'item_id ').")


@pytest.mark.parametrize("odd", [{"item": [7]}, {"item": {"sku": [7]}}, {"item": {"sku": True}}, {"item": 7}])
@pytest.mark.parametrize("nested", [False, True])
def test_a_value_of_another_kind_in_a_record_is_a_broken_line(tmp_path: Path, odd: dict, nested: bool):
    rows = [{"session": 1, "time": 1396310400} | each for each in ({"item": {"sku": 7}}, {"item": {"sku": 8}}, odd)]
    lines = [{"events": [row]} if nested else row for row in rows]
    path = written(tmp_path / "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    options = ["dataset.columns.item=item.sku", *(["dataset.nested=events"] if nested else [])]
    with pytest.raises(
        UserError, match=r"where most lines have another kind of these: 1 \(log\.jsonl line 3: .*on_error=s"
    ):
        load(tmp_path, "clicks", path, *options)
    with pytest.raises(UserError, match=r"rows of the log: 3 clicks.* readable rows \(on_error=skip\): 2 clicks"):
        load(tmp_path, "clicks", path, *options, "dataset.on_error=skip", "dataset.rules.min_session_length=3")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("sign", ["\u00a0", "\u200b", "\u2060", "\ufeff", "\u3000"])
def test_invisible_characters_around_names_are_removed_in_all_kinds_of_files(tmp_path: Path, kind: str, sign: str):
    names = ["session_id", f"{sign}item_id{sign}", f"timestamp{sign}"]
    table = pl.DataFrame([(1, 7, 1396310400), (1, 8, 1396310400)], schema=names, orient="row")
    path = tmp_path / f"log.{kind}"
    {"csv": table.write_csv, "jsonl": table.write_ndjson, "parquet": table.write_parquet}[kind](path)
    rows = read_rows(path)
    assert rows.table.select("key", "item").collect().rows() == [(1, 7), (1, 8)]
    assert f"invisible characters removed from 2 column names ({names[1]!r}, {names[2]!r})" in rows.notices[0].text


def test_a_notice_names_the_files_that_it_is_about(tmp_path: Path):
    for name, above in (("a", ""), ("b", "# exported\n"), ("c", "")):
        written(tmp_path / f"{name}.csv", above + CSV)
    (notice,) = read_rows([str(tmp_path / f"{name}.csv") for name in "abc"]).notices
    assert notice.text.endswith("/b.csv: 1 line at the top left out as comments, which start with #.")
    written(tmp_path / "b.csv", CSV + HEADER)
    (notice,) = read_rows([str(tmp_path / f"{name}.csv") for name in "abc"]).notices
    assert "/b.csv: 1 header line among the rows left out" in notice.text
    for name, item in (("a", "7"), ("b", "NaN")):
        written(tmp_path / f"{name}.jsonl", f'{{"session_id": 1, "item_id": {item}, "timestamp": 1396310400}}\n')
    (notice,) = read_rows(str(tmp_path / "*.jsonl")).notices
    assert "/b.jsonl: NaN or Infinity read as missing values in 1 line" in notice.text


def test_a_field_that_an_object_has_twice_is_a_warning(tmp_path: Path):
    lines = [f'{{"session_id": 1, "item_id": {n}, "item_id": 9, "timestamp": 1396310400}}\n' for n in (3, 4)]
    path = written(tmp_path / "a.jsonl", "\n" + lines[0])
    assert ids(path) == [(1, 3)]
    (notice,) = read_rows(path).notices
    text = "a.jsonl: the field item_id occurs more than once in a.jsonl line 2"
    assert notice.text.endswith(f"{text}; the first value was read: write each field once.")
    written(path, "".join(lines))
    (notice,) = read_rows(path).notices
    assert "a.jsonl line 1, and such fields in 2 lines of those at the top; the first" in notice.text
    inner = lines[0].replace('"item_id": 9', '"note": {"text": 1, "text": 2}')
    with pytest.raises(UserError, match=r"a\.jsonl line 2: the field text occurs more than once in one") as error:
        read_rows(written(path, "\n" + inner))
    assert ids(typed(error.value)) == [(1, 3)]


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x0b"])
def test_other_line_ends_in_a_part_of_a_file_lead_to_the_command(tmp_path: Path, sign: str):
    rows = [f"{line},x" for line in LINES]
    path = written(tmp_path / "log.csv", HEADER + rows[0] + "\n" + sign.join(rows[1:]) + sign + "\n")
    with pytest.raises(UserError, match=r"has lines that end in [a-z]") as error:
        read_rows(path, skip=True)
    assert ids(typed(error.value)) == ROWS
    objects = [f'{{"session_id": {s}, "item_id": {i}, "timestamp": 1396310400}}' for s, i in ROWS]
    json_path = written(tmp_path / "log.jsonl", objects[0] + "\n" + sign.join(objects[1:]) + "\n")
    with pytest.raises(UserError, match=r"has lines that end in [a-z]") as error:
        read_rows(json_path, skip=True)
    assert ids(typed(error.value)) == ROWS
    # In the text of a row with a comma too many, such a character ends no row.
    written(path, HEADER + f"{rows[0]}{sign}y,z\n" + "\n".join(rows[1:]) + "\n")
    assert ids(path, skip=True) == ROWS[1:]
    note = json.dumps({"note": f"a{sign}b}}{sign}"}, ensure_ascii=False)
    written(json_path, objects[0] + "\n" + note.replace("}", ",,}") + "\n" + "\n".join(objects[1:]) + "\n")
    assert ids(json_path, skip=True) == ROWS


@pytest.mark.parametrize("skip", [False, True])
def test_carriage_returns_in_a_part_of_a_file_lead_to_the_command(tmp_path: Path, skip: bool):
    rows = [f"{line},x" for line in LINES]
    path = written(tmp_path / "log.csv", HEADER + rows[0] + "\n" + "\r".join(rows[1:]) + "\r")
    with pytest.raises(UserError, match="has lines that end in carriage returns alone: convert it") as error:
        read_rows(path, skip=skip)
    assert ids(typed(error.value)) == ROWS
    for content in (  # where the line seems to have another fault
        HEADER + "".join(f'{line},"x"{end}' for line, end in zip(LINES, "\r\r\n", strict=True)),
        HEADER + f'{LINES[0]},"x\n' + "\r".join(rows[1:]) + "\n",
    ):
        with pytest.raises(UserError, match="has lines that end in carriage returns alone: convert it"):
            read_rows(written(path, content), skip=skip)
    objects = [f'{{"session_id": {s}, "item_id": {i}, "timestamp": 1396310400}}' for s, i in ROWS]
    json_path = written(tmp_path / "log.jsonl", objects[0] + "\n" + "\r".join(objects[1:]) + "\n")
    with pytest.raises(UserError, match="has lines that end in carriage returns alone: convert it") as error:
        read_rows(json_path, skip=skip)
    assert ids(typed(error.value)) == ROWS
    written(path, (HEADER + rows[0] + ",surplus\n").replace("\n", "\r\n"))
    with pytest.raises(UserError, match="more fields than the header: 1"):
        read_rows(path)
