"""What stands above the rows of text files."""

import gzip
import re
from pathlib import Path

import polars as pl
import pytest
from raw_rows import CSV, HEADER, LINES, ROWS, ids, read_rows, typed, written

from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import find_files
from srgnn.errors import ArgumentError, UserError

NAMES = ["session_id", "item_id", "timestamp", "note"]


def notices(path: Path, **options) -> list[str]:
    return [notice.text.partition(": ")[2] for notice in read_rows(path, **options).notices]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("above", "comments"),
    [
        ("", 0),
        ("\n\n", 0),
        ("# exported 2014\n", 1),
        ("# a, b, c, d\n\n# e\n\n", 2),
        ("sep=,\n", 0),
        ("sep=,\n#x\n", 1),
        (",,\n", 0),
        ("# a\n , ,\n;;\n# b\n,,,\n", 2),
        (",,,\nsep=,\n", 0),
        ("\n" * 1000, 0),
        ("# exported 2014\n,,\n" * 1200, 1200),
    ],
)
def test_lines_above_the_header_are_skipped(
    tmp_path: Path, end: str, mark: str, packed: bool, above: str, comments: int
):
    content = (mark + above + CSV + "1,,2014-04-01,x\n").replace("\n", end).encode()
    path = written(tmp_path / "log.csv", gzip.compress(content) if packed else content)
    rows = read_rows(path)
    assert rows.table.select("key", "item").collect().rows() == [*ROWS, (1, None)]
    text = f"{comments:,} line{'s' if comments > 1 else ''} at the top left out as comments"
    assert [text in notice.text for notice in rows.notices] == ([True] if comments else [])
    lines = RawFiles(find_files("path", path)).rows(numbered=True).collect()["_line"].to_list()
    assert lines == [number + above.count("\n") for number in (2, 3, 4, 5)]


@pytest.mark.parametrize("above", ["sep=;\n", '"SEP=;"\r\n', "\ufeffsep=;\n", "sep= ;\n", 'sep = ";" \n', "sep=;;;\n"])
def test_a_line_that_names_the_separator_is_honoured(tmp_path: Path, above: str):
    path = written(tmp_path / "log.csv", above + CSV.replace(",", ";").replace(";x", ";a,b,c,d,e,f"))
    assert ids(path) == ROWS
    assert ids(written(path, above + CSV), separator=",") == ROWS


@pytest.mark.parametrize(("above", "separator"), [("sep= ", " "), ("sep=\t", "\t"), ("sep= \t", "\t")])
def test_a_line_that_names_the_separator_may_name_a_blank(tmp_path: Path, above: str, separator: str):
    assert ids(written(tmp_path / "log.csv", f"{above}\n{CSV.replace(' ', 'T').replace(',', separator)}")) == ROWS


@pytest.mark.parametrize("separator", [",", ";", "|"])
@pytest.mark.parametrize("padded", ["{}\t\t", "\t{}\t", "\t\t{}"])
@pytest.mark.parametrize("name", ["log.csv", "log.tsv"])
@pytest.mark.parametrize("all_lines", [False, True])
def test_tabs_beside_a_separator_are_padding(tmp_path: Path, separator: str, padded: str, name: str, all_lines: bool):
    head, *rows = [line.replace(",", padded.format(separator)) for line in CSV.splitlines()]
    rows = rows if all_lines else CSV.replace(",", separator).splitlines()[1:]
    assert ids(written(tmp_path / name, "\n".join([head, *rows]))) == ROWS


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", ["csv", "csv.gz"])
@pytest.mark.parametrize(("first", "second"), [(";", ","), (",", ";"), ("\t", ","), (",", "\t"), (", ", "|")])
def test_another_separator_in_the_header_than_in_the_rows(tmp_path: Path, first: str, second: str, kind: str, end: str):
    content = HEADER.replace(",", first) + CSV.removeprefix(HEADER).replace(",", second)
    content = content.replace("\n", end).encode()
    path = written(tmp_path / f"log.{kind}", gzip.compress(content) if kind == "csv.gz" else content)
    sentence = f"has the separator {first.strip(' ')!r} in its header and {second!r} in its rows: name all columns"
    with pytest.raises(UserError, match=re.escape(sentence)) as error:
        ids(path)
    assert " with header='[session_id,item_id,timestamp,note]', which" in str(error.value)
    assert ids(path, header=NAMES) == ROWS


@pytest.mark.parametrize("separator", ["\t", ";", "|"])
def test_the_separator_is_that_of_the_header_and_the_rows(tmp_path: Path, separator: str):
    text = CSV.replace(",", separator).replace("note", "red, green, blue, and, so, on")
    assert ids(written(tmp_path / "log.csv", text)) == ROWS
    rows = "".join(line.replace(",", separator) + f"{separator}a, b, c, d, e, f\n" for line in LINES)
    assert ids(written(tmp_path / "log.csv", rows), header=NAMES) == ROWS


def test_a_hash_before_the_first_name_or_id_is_no_comment(tmp_path: Path):
    assert ids(written(tmp_path / "log.csv", "#" + CSV)) == ROWS
    path = written(tmp_path / "tags.csv", "# a comment\n#a,10,2014-04-01\n#b,11,2014-04-02\n")
    assert ids(path, header=NAMES[:3]) == [("#a", 10), ("#b", 11)]


@pytest.mark.parametrize("space", [" ", "   ", "\t"])
def test_spaces_around_names_are_removed(tmp_path: Path, space: str):
    path = written(tmp_path / "log.csv", CSV.replace(",item_id,timestamp", f",{space}item_id{space},{space}timestamp"))
    assert ids(path) == ROWS
    shown = f"{space}item_id{space}", f"{space}timestamp"
    text = f"spaces removed from 2 column names ({shown[0]!r}, {shown[1]!r})"
    assert notices(path) == [f"{text}; header=[NAME,NAME] gives other names."]
    frame = pl.DataFrame(
        {"session_id": [1], "item_id ": [10], " timestamp": [1396310400], "item_id  ": [5], "note": [0]}
    )
    frame.write_parquet(tmp_path / "log.parquet")
    with pytest.raises(UserError, match=r"expected the columns .* 'item_id '"):
        ids(tmp_path / "log.parquet")  # both columns cannot have the name without spaces
    frame.drop("item_id  ").write_parquet(tmp_path / "log.parquet")
    assert ids(tmp_path / "log.parquet") == ROWS[:1]
    assert notices(tmp_path / "log.parquet") == ["spaces removed from 2 column names ('item_id ', ' timestamp')."]


def test_a_name_twice_is_an_error_only_where_it_is_used(tmp_path: Path):
    twice = CSV.replace("note", "item_id")
    with pytest.raises(UserError, match=r"log\.csv line 2 names the column item_id more than once: rename") as error:
        ids(written(tmp_path / "log.csv", "\n" + twice))
    header = str(error.value).partition("header='[")[2].partition("]")[0].split(",")
    assert header == [*NAMES[:3], "item_id_2"]
    assert ids(tmp_path / "log.csv", header=header) == ROWS
    assert ids(written(tmp_path / "log.csv", CSV.replace("note", "note,note").replace(",x", ",x,y"))) == ROWS
    assert ids(written(tmp_path / "log.csv", CSV.replace("note", "note,").replace(",x", ",x,y"))) == ROWS


def test_names_for_a_file_with_a_header_replace_it(tmp_path: Path):
    path = written(tmp_path / "log.csv", HEADER.replace("session_id", "sid") + "".join(f"{line},x\n" for line in LINES))
    assert ids(path, header=NAMES) == ROWS
    assert notices(path, header=NAMES) == [
        "1 header line left out because header= names the columns; header=null takes the names of the file."
    ]
    path = written(path, "".join(f"{line},x\n" for line in LINES))
    assert ids(path, header=NAMES) == ROWS
    assert notices(path, header=NAMES) == []
    assert ids(written(path, "\ufeff" + path.read_text()), header=NAMES) == ROWS
    with pytest.raises(ArgumentError, match=r"expected the names of the 4 columns of log\.csv"):
        ids(path, header=NAMES[:3])


def test_names_may_hold_line_ends(tmp_path: Path):
    path = written(tmp_path / "log.csv", CSV.replace("note", '"a\nnote"'))
    assert ids(path) == ROWS
    assert RawFiles(find_files("path", path)).rows(numbered=True).collect()["_line"].to_list() == [3, 4, 5]
    with pytest.raises(UserError, match="line 1 has a quote that is not closed"):
        ids(written(path, CSV.replace("note", '"note')))


def test_a_header_without_rows_and_one_column_are_read(tmp_path: Path):
    assert ids(written(tmp_path / "log.csv", HEADER)) == []
    frame = RawFiles(find_files("path", written(tmp_path / "log.csv", 'item\na\n\n"b\nc"\nd\n'))).rows(numbered=True)
    assert frame.collect().rows() == [(2, "a"), (4, "b\nc"), (6, "d")]


@pytest.mark.parametrize(
    ("above", "height"),
    [
        ("\nReport of 2014\n", 2),
        ("Report\nof 2014\n", 2),
        ("Report, 2014\n", 1),
        ("Report\n\n2014-04-01, me\n\n", 4),
        ("Report,,,\n,,,\n", 2),
        ('"Report\nof ""2014"""\n', 2),
        ('"Big" report\n', 1),
        ("# a comment\nReport\n", 2),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_title_above_the_header_is_named(tmp_path: Path, above: str, height: int, separator: str):
    for end, mark in (("\n", ""), ("\r\n", "\ufeff")):
        content = mark + (above + CSV.replace(",", separator)).replace("\n", end)
        with pytest.raises(
            UserError, match=rf"the rows below have 4: remove the lines above line {height + 1}, "
        ) as error:
            ids(written(tmp_path / "log.csv", content))
        assert ids(typed(error.value)) == ROWS


def test_a_header_that_lacks_names_is_replaced_by_one_that_has_them(tmp_path: Path):
    path = written(tmp_path / "log.csv", CSV.replace(",note", ""))
    with pytest.raises(
        UserError, match=r"line 1 \('session_id,item_id,timestamp'\) names 3 columns, and every"
    ) as error:
        ids(path)
    header = str(error.value).partition("header='[")[2].partition("]")[0].split(",")
    assert header == [*NAMES[:3], "column_4"]
    assert ids(path, header=header) == ROWS
    assert ids(written(path, "Report\n" + path.read_text()), header=header) == ROWS
    assert notices(path, header=header)[0].startswith("1 header line left out")


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("quote", ['"', ""])
def test_row_names_as_r_writes_them_have_no_name_in_the_header(tmp_path: Path, separator: str, quote: str):
    lines = [[f"{quote}{name}{quote}" for name in NAMES]]
    for number, line in enumerate(LINES, 1):
        session, item, time = line.split(",")
        lines.append([f"{quote}{number}{quote}", session, item, f'"{time}"', "x"])
    path = written(tmp_path / "log.txt", "".join(separator.join(line) + "\n" for line in lines))
    if separator == " ":
        with pytest.raises(UserError, match=r"""name the separator between them with separator="' '"\."""):
            ids(path)
    options = {"separator": " "} if separator == " " else {}
    with pytest.raises(UserError, match="names 4 columns, and every row below has more fields") as error:
        ids(path, **options)
    header = str(error.value).partition("header='[")[2].partition("]' if the first field is")[0].split(",")
    assert header == ["row", *NAMES]
    assert ids(path, header=header, **options) == ROWS


@pytest.mark.parametrize("signs", ["::", "~|~", "||~", "->", " => "])
def test_a_separator_of_several_characters_is_named_and_read(tmp_path: Path, signs: str):
    path = written(tmp_path / "log.dat", CSV.replace(",", signs))
    with pytest.raises(UserError, match=r"of several characters: name it with separator=.* quote=null") as error:
        ids(path)
    assert error.value.arguments == ("separator", "quote")
    assert ids(path, separator=signs.strip(), quote=None) == ROWS
    if signs == "::":  # as in MovieLens, without a header
        written(path, path.read_text().partition("\n")[2])
        for options in ({}, {"header": NAMES}):
            with pytest.raises(UserError, match="of several characters"):
                ids(path, **options)
        assert ids(path, separator=signs, quote=None, header=NAMES) == ROWS


def test_single_quotes_around_names_lead_to_the_option(tmp_path: Path):
    names = ",".join(f"'{name}'" for name in NAMES)
    path = written(tmp_path / "log.csv", CSV.replace(HEADER.strip(), names))
    with pytest.raises(UserError, match=r"has its names in single quotes .* with quote=") as error:
        ids(path)
    assert error.value.arguments == ("quote",)
    assert ids(path, quote="'") == ROWS


def test_a_title_above_rows_without_a_header_is_named(tmp_path: Path):
    rows = CSV.removeprefix(HEADER)
    path = written(tmp_path / "log.csv", "2014: a report\n" + rows)
    with pytest.raises(
        UserError, match=r"if line 2 is a row, name all columns with header='\[NAME1,NAME2,NAME3,NAME4\]'"
    ):
        ids(path)
    with pytest.raises(UserError) as error:
        ids(path, header=NAMES)
    assert ids(typed(error.value), header=NAMES) == ROWS
    assert ids(written(path, "Report\n" + rows), header=NAMES) == ROWS


def test_rows_of_different_widths_below_a_header_are_no_table_below_a_title(tmp_path: Path):
    surplus = CSV.replace(",x", ",x,y", 2)
    with pytest.raises(UserError, match="more fields than the header: 2 "):
        ids(written(tmp_path / "log.csv", surplus))
    assert ids(tmp_path / "log.csv", skip=True) == ROWS[2:]
    assert ids(written(tmp_path / "log.csv", CSV.replace(",x", ""))) == ROWS


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_header_among_the_rows_is_left_out(tmp_path: Path, mark: str, packed: bool):
    content = (mark + CSV).replace("note", '"note"')
    content += content.replace("\n", "\r\n") + content
    path = written(tmp_path / "log.csv", gzip.compress(content.encode()) if packed else content)
    assert ids(path) == ROWS * 3
    assert notices(path) == ["2 header lines among the rows left out, as in files that were joined."]
    assert RawFiles(find_files("path", path)).rows(numbered=True).collect()["_line"][3] == 6
    assert ids(path, header=[*NAMES[:3], "other"]) == ROWS * 3
    # A row that has only some of the names is a row.
    assert ids(written(tmp_path / "log.csv", CSV + "session_id,item_id,2014-04-01,note\n"))[-1] == (
        *("session_id", "item_id"),
    )


@pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".csv.zst"])
def test_headers_among_the_rows_are_counted_however_they_are_quoted(tmp_path: Path, kind: str):
    names, quoted = HEADER.strip(), ",".join(f'"{name}"' for name in NAMES)
    rows = "".join(f"{line},x\n" for line in LINES)
    lines = pl.LazyFrame({"line": [*(HEADER + rows).splitlines(), quoted, names, *rows.splitlines(), quoted]})
    path = tmp_path / f"log{kind}"
    packed = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix, "uncompressed")
    lines.sink_csv(path, include_header=False, quote_style="never", compression=packed)
    assert ids(path) == ROWS * 2
    assert notices(path) == ["3 header lines among the rows left out, as in files that were joined."]


def test_rows_may_end_in_a_separator_that_the_header_lacks(tmp_path: Path):
    assert ids(written(tmp_path / "log.csv", CSV.replace(",x", ",x,"))) == ROWS
    assert ids(written(tmp_path / "log.tsv", CSV.replace(",x", ",,").replace(",note", "").replace(",", "\t"))) == ROWS


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    "first",
    [
        '1, "b,1", "2014-04-01"',
        '1,"b,1",2014-04-01\n"1",  "c",2014-04-01',
        ' "1","b,1",2014-04-01',
        '1, "b,1", 2014-04-01',
        '"1" ,"b,1" ,2014-04-01',
        '1,"b,1",2014-04-01\n1,"c","2014-04-01"  ',
    ],
)
def test_spaces_beside_a_quote_are_refused_with_a_command_that_helps(tmp_path: Path, separator: str, first: str):
    content = f"session_id,item_id,timestamp\n{first}\n".replace(",", separator)
    path = written(tmp_path / "log.csv", content)
    number = content.count("\n")
    with pytest.raises(UserError, match=f"line {number} has spaces between a separator and a quote") as error:
        ids(path)
    assert ids(typed(error.value))[0] == (1, f"b{separator}1")


def test_spaces_within_a_quoted_field_are_part_of_it(tmp_path: Path):
    rows = '1,"a, ""b""",2014-04-01\n1,"x\ny, ""z""",2014-04-01\n'
    path = written(tmp_path / "log.csv", "session_id,item_id,timestamp\n" + rows)
    assert ids(path) == [(1, 'a, "b"'), (1, 'x\ny, "z"')]


def test_a_header_below_very_many_comments_is_an_error(tmp_path: Path):
    path = written(tmp_path / "log.csv", "#\n" * 100_000 + CSV)
    with pytest.raises(
        UserError, match=r"log\.csv has no header in its first 100,000 lines: remove the blank lines and"
    ):
        ids(path)
    path.write_text("#\n" * 1000)
    with pytest.raises(UserError, match=r"log\.csv is empty"):
        ids(path)
