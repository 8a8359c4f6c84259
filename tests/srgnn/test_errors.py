import pickle
import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from srgnn.errors import ArgumentError, UserError, check_bool, check_choice, check_float, check_int, typed


def test_arguments_are_renamed_only_where_the_message_means_them():
    error = UserError("The path a/path=1 is wrong: give path=FILE or items.path=FILE, not path.", "path", "items.path")
    renamed = error.renamed({"path": "dataset.path", "items.path": "dataset.items.path"})
    assert str(renamed) == (
        "The path a/dataset.path=1 is wrong: give dataset.path=FILE or dataset.items.path=FILE, not path."
    )
    assert renamed.arguments == ("dataset.path", "dataset.items.path")
    assert error.renamed({}) is error


def test_errors_travel_between_processes():
    for error in (UserError("No.", "a"), ArgumentError("lr", -1, "a number")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.arguments) == (type(error), str(error), error.arguments)


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (lambda: check_int("n", True, 0), "n=True: expected an integer of at least 0."),
        (lambda: check_int("n", 9, 1, 5), "n=9: expected an integer from 1 to 5."),
        (lambda: check_float("x", float("nan"), 0), "x=nan: expected a number of at least 0."),
        (lambda: check_float("x", 0, 0, exclusive=True), "x=0: expected a number greater than 0."),
        (lambda: check_choice("c", "z", ["a", "b"]), "c=z: expected one of a, b."),
        (lambda: check_bool("b", 1), "b=1: expected true or false."),
    ],
)
def test_the_message_holds_the_expected_and_the_given_value(check, sentence: str):
    with pytest.raises(ArgumentError) as error:
        check()
    assert str(error.value) == sentence


ODD = [
    "Item ID",
    "item_id.$oid",
    "[session_id]",
    "a,b",
    "it's",
    "#1",
    '"q"',
    "ä",
    "true",
    "12",
    "a!b",
    "x`y",
    "\\'",
    "*",
    " x ",
]


@pytest.mark.parametrize("value", [*ODD, ODD])
def test_a_typed_value_survives_the_shell_and_hydra(value):
    word = subprocess.run(
        ["bash", "-c", f"printf %s name={typed(value)}"], stdout=subprocess.PIPE, check=True, text=True
    )
    assert OverridesParser.create().parse_override(word.stdout).value() == value
