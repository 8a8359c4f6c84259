"""Ids that may not be what their owner means by an id."""

import shlex
from pathlib import Path

import pytest
from click_logs import LOG, load, raw

HEAD = "session,item,time\n"


def notices(data) -> list[str]:
    return [notice["text"] for notice in data.manifest["notices"]]


@pytest.fixture(params=["polars", "duckdb"])
def engine(request) -> str:
    if request.param == "duckdb":
        pytest.importorskip("duckdb")
    return f"engine={request.param}"


NIL = "00000000-0000-0000-0000-000000000000"  # the UUID that stands for none


@pytest.mark.parametrize(
    "word", ["-", "??", "(not set)", "Unknown", "[null]", "<none>", '"null"', "N/D", "#REF!", "#DIV/0!", "-Inf", NIL]
)
def test_words_that_may_stand_for_nothing_are_a_warning(tmp_path: Path, log: Path, word: str, engine: str):
    quoted = '"{}"'.format(word.replace('"', '""'))
    log.write_text(log.read_text().replace(",12,", f",{quoted},").replace(",10,", ",lamp,"))
    data = load(tmp_path, "clicks", log, engine)
    assert raw(data, "train") == [["lamp", "11", "lamp"], ["11", word], [word, "lamp"]]
    (text,) = notices(data)
    start, _, command = text.partition("; leave such rows out with ")
    assert start == f"Ids in item that may stand for no value, {word!r}, were kept as ids (rows: 3)"
    options = [f"dataset.{option}" for option in shlex.split(command.removesuffix("."))]  # as a shell reads it
    without = load(tmp_path, "clicks", log, engine, *options)
    assert raw(without, "train") == [["lamp", "11", "lamp"]]
    assert notices(without) == []


@pytest.mark.parametrize(
    "item", ["item-", "unknown pleasures", "a?", "none-such", "--help me", "lamp [null]", "1e5", "5E10", "7|8", "7-8"]
)
def test_ids_with_such_words_in_them_are_no_warning(tmp_path: Path, log: Path, item: str, engine: str):
    log.write_text(log.read_text().replace(",12,", f",{item},"))
    assert notices(load(tmp_path, "clicks", log, engine)) == []


def test_the_words_that_are_left_out_already_stay_left_out(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace(",12,", ",-,").replace(",11,", ",Null,").replace(",10,", ",lamp,"))
    (text,) = notices(load(tmp_path, "clicks", log, "dataset.on_error=skip"))
    assert text.endswith("""leave such rows out with missing="['NULL','-']" on_error=skip.""")


def test_words_are_no_warning_where_the_user_wants_them_as_ids(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace(",12,", ",-,"))
    data = load(tmp_path, "clicks", log, "dataset.missing=[]")
    assert raw(data, "train")[1] == ["11", "-"]
    assert notices(data) == []


def test_shortened_ids_are_a_warning(tmp_path: Path, log: Path, engine: str):
    log.write_text(log.read_text().replace(",12,", ",1.23457E+12,"))
    data = load(tmp_path, "clicks", log, engine)
    assert raw(data, "train")[1] == ["11", "1.23457E+12"]
    (text,) = notices(data)
    assert "Ids in item such as 1.23457E+12 were shortened by a spreadsheet or a float" in text
    assert "may have become one (rows: 3)" in text


@pytest.mark.parametrize(
    ("item", "remedy"),
    [
        ('{"sku": 7}', "export the id in them as a column of its own."),
        ("{'sku': 7}", "export the id in them as a column of its own."),
        (
            "[7, 8]",
            "export the id in them as a column of its own, or make each value of a list a row with nested=item.",
        ),
        *(
            (
                numbers,
                "export the id in them as a column of its own, or make each value of a list a row with nested=item.",
            )
            for numbers in ("7 8 9", "7|8|9", "7 8", "7, 8", "7;8", "7 > 8", "7->8")
        ),
    ],
)
def test_ids_that_are_records_are_a_warning(tmp_path: Path, log: Path, item: str, remedy: str, engine: str):
    quoted = '"{}"'.format(item.replace('"', '""'))
    log.write_text(log.read_text().replace(",12,", f",{quoted},"))
    data = load(tmp_path, "clicks", log, engine)
    assert raw(data, "train")[1] == ["11", item]
    (text,) = notices(data)
    assert text.startswith(f"Ids in item such as {item} are the text of records or lists, and were read as single ids ")
    assert text.endswith(f"(rows: 3); {remedy}")


@pytest.mark.parametrize("session", ["0", "-1"])
@pytest.mark.parametrize("prefix", ["", "v"])  # integers, and text
def test_a_session_that_stands_for_none_is_a_warning(tmp_path: Path, session: str, prefix: str, engine: str):
    path = tmp_path / "log.csv"
    start = LOG[0][2]
    clicks = [(f"{prefix}{n + 5}", i, start + 86_400 * n + i) for n in range(20) for i in (1, 2)]
    clicks += [(session, 1 + n % 2, start + 60 * n) for n in range(60)]
    path.write_text(HEAD + "".join(f"{s},{i},{t}\n" for s, i, t in clicks))
    data = load(tmp_path, "clicks", path, engine)
    (text,) = [text for text in notices(data) if "stands for clicks" in text]
    assert text.startswith(f"The session {session} has 60 of 100 rows: ")
    options = [f"dataset.{o}" for o in shlex.split(text.partition("leave them out with ")[2].removesuffix("."))]
    without = load(tmp_path, "clicks", path, engine, *options)
    assert without.manifest["steps"][1]["clicks"] == 40
    assert not any("stands for clicks" in text for text in notices(without))


def test_a_session_0_like_the_others_is_no_warning(tmp_path: Path, log: Path):
    log.write_text(log.read_text().replace("\n1,", "\n0,"))
    assert notices(load(tmp_path, "clicks", log)) == []


def test_ids_with_and_without_a_fraction_are_a_warning_where_others_are_text(tmp_path: Path, engine: str):
    path = tmp_path / "log.csv"
    ids = {(1, 10): "10.0", (4, 11): "gift"}
    path.write_text(HEAD + "".join(f"{s},{ids.get((s, i), i)},{t}\n" for s, i, t in LOG))
    data = load(tmp_path, "clicks", path, engine)
    assert raw(data, "train") == [["10.0", "11", "10.0"], ["11", "12"], ["12", "10"]]
    (text,) = notices(data)
    assert text.startswith("Ids in item that occur with and without .0, such as 10 and 10.0, are two ids each (ids: 1)")


def test_ids_in_single_quotes_are_a_warning_and_the_option_removes_them(tmp_path: Path, log: Path, engine: str):
    log.write_text(log.read_text().replace(",12,", ",'12',"))
    data = load(tmp_path, "clicks", log, engine)
    assert raw(data, "train")[1] == ["11", "'12'"]
    (text,) = notices(data)
    start, _, option = text.partition("read the file without them with ")
    assert start.startswith(
        "Ids in item such as '12' are in single quotes, which were read as a part of them (rows: 3)"
    )
    data = load(tmp_path, "clicks", log, engine, *(f"dataset.{o}" for o in shlex.split(option.removesuffix("."))))
    assert (raw(data, "train")[1], notices(data)) == ([11, 12], [])


def test_whole_numbers_with_a_decimal_comma_are_a_warning(tmp_path: Path, log: Path, engine: str):
    log.write_text(log.read_text().replace(",12,", ',"12,0",'))
    data = load(tmp_path, "clicks", log, engine)
    assert raw(data, "train")[1] == ["11", "12,0"]
    (text,) = notices(data)
    assert text.startswith(
        "Ids in item such as 12,0 look like whole numbers with a decimal comma, and were read as text "
    )


@pytest.mark.parametrize("item", ["1,110", "1 110", "2,345,678"])
def test_signs_between_the_thousands_are_no_lists(tmp_path: Path, log: Path, item: str, engine: str):
    log.write_text(log.read_text().replace(",12,", f',"{item}",'))
    data = load(tmp_path, "clicks", log, engine)
    assert raw(data, "train")[1] == ["11", item]
    (text,) = notices(data)
    assert text.startswith(f"Ids in item such as {item} look like numbers with signs between the thousands, and")
    log.write_text(log.read_text().replace(",11,", ',"7,8",'))  # lists, of which one looks like such a number
    assert any("the text of records or lists" in text for text in notices(load(tmp_path, "clicks", log, engine)))


def test_quotes_behind_a_tab_are_a_warning(tmp_path: Path, log: Path, engine: str):
    log.write_text(log.read_text().replace(",12,", ',\t"12",'))
    data = load(tmp_path, "clicks", log, engine)
    assert raw(data, "train")[1] == ["11", '"12"']
    assert [
        text for text in notices(data) if text.startswith('Ids in item such as "12" are in quotes, which were read')
    ]
