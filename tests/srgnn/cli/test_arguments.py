import shlex
from pathlib import Path

import pytest

from srgnn.cli.arguments import as_typed, cutoffs, session_of, session_option, value
from srgnn.errors import ArgumentError


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("dataset.path=l/day=2/b.parquet", "l/day=2/b.parquet"),
        ("dataset.path=train (1).csv", "train (1).csv"),
        ("dataset.path=ü.csv", "ü.csv"),
        ("dataset.path=a,b.csv", "a,b.csv"),
        ("dataset.path=2014", "2014"),
        ("dataset.path=[a.csv,b.csv]", ["a.csv", "b.csv"]),
        ("dataset.path=null", None),
        ("dataset.path=~/log.csv", str(Path.home() / "log.csv")),
        ("init_from=~/last.ckpt", str(Path.home() / "last.ckpt")),
        ("compiled=~/model.compiled", str(Path.home() / "model.compiled")),
        ("paths.data='~/log'", str(Path.home() / "log")),
        ("checkpoint=epoch=1.ckpt", "epoch=1.ckpt"),
        ("resume='a b.ckpt'", "a b.ckpt"),
        ("dataset.where=event='view' AND price>1", "event='view' AND price>1"),
        ("dataset.separator=;", ";"),
        ("dataset.columns.item=Item (ID)", "Item (ID)"),
        ("engine.master=local[2]", "local[2]"),
        ("session=1e5", "1e5"),
        ("session=A\\,B", "A\\,B"),
    ],
)
def test_text_is_taken_as_it_is_typed(argument: str, expected):
    assert value(as_typed([argument])[0]) == expected


def test_other_arguments_stay_as_they_are():
    arguments = ["model.hidden_size=8,16", "k=[5,10]", "~dataset", "dataset.path=a.csv,b.csv", "seed=1"]
    assert as_typed([*arguments, "-m"]) == ["-m", *arguments]  # Hydra wants -m first
    assert as_typed(["trainer.x=1", "trainer=cpu"], ["trainer"]) == ["++trainer.x=1", "trainer=cpu"]


@pytest.mark.parametrize(
    "ids",
    [["A", "B"], ["a,b", "c"], ["$HOME", "a&b", "c;d"], ["lamp 10", "x"], ["[x]", "y"], ["it's", 'q"'], [" a", "b"]],
)
def test_the_session_that_is_printed_can_be_pasted_into_a_shell(ids: list[str]):
    (argument,) = shlex.split(session_option(ids))
    assert session_of(value(as_typed([argument])[0])) == ids


def test_numbers_are_ids_too():
    assert session_option([1, 2]) == "session=1,2"
    assert session_of([1, "2"]) == session_of("1, 2") == ["1", "2"]


@pytest.mark.parametrize("given", [None, "abc", [], {}, [5, "x"], [0], 41, True])
def test_cut_offs_are_numbers_or_one_sentence(given):
    assert cutoffs(5, 40) == [5]
    assert cutoffs([5, 10], 40) == [5, 10]
    with pytest.raises(ArgumentError, match=r"^k="):
        cutoffs(given, 40)
