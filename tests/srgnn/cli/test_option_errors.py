import errno
import time

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from srgnn.cli import CONF
from srgnn.cli.errors import check_arguments, one_sentence, options_of
from srgnn.errors import ArgumentError, UserError

CONFIG = OmegaConf.create(
    {
        "seed": 0,
        "k": [5],
        "optimizer": {"lr": 1e-3},
        "dataset": {
            "path": None,
            "seed": 0,
            "cache": "${paths.cache}",
            "items": {"path": None},
            "columns": {"order": None},
            "rules": {"order": "time", "test_days": 7},
        },
        "paths": {"cache": "data/prepared"},
    }
)


@pytest.mark.parametrize(
    ("group", "argument", "option"),
    [
        ("dataset", "path", "dataset.path"),  # the shortest of two
        ("dataset", "items.path", "dataset.items.path"),
        ("dataset", "rules.test_days", "dataset.rules.test_days"),
        ("dataset", "test_days", "dataset.rules.test_days"),  # raised by Rules, which does not know where it is used
        ("dataset.rules", "order", "dataset.rules.order"),  # not that of the columns
        ("dataset.items", "title", "dataset.items.title"),  # not in the configuration
        ("dataset", "seed", "dataset.seed"),
        ("", "seed", "seed"),
        ("", "lr", "optimizer.lr"),
        ("dataset", "cache", "paths.cache"),  # the option that this one refers to
        ("", "folder", "paths.outputs"),
        ("", "nothing", "nothing"),
        ("dataset", "nothing", "dataset.nothing"),
    ],
)
def test_an_argument_becomes_its_option(group: str, argument: str, option: str):
    with pytest.raises(UserError) as error, options_of(CONFIG, group):
        raise ArgumentError(argument, -1, "a number")
    assert str(error.value) == f"{option}=-1: expected a number."


def test_an_option_renamed_twice_stays_the_same():
    with pytest.raises(UserError) as error, options_of(CONFIG), options_of(CONFIG, "dataset"):
        raise UserError("Loosen test_days= or path=FILE.", "test_days", "path")
    assert str(error.value) == "Loosen dataset.rules.test_days= or dataset.path=FILE."


MODELS = ", ".join(sorted(path.stem for path in (CONF / "model").iterdir()))


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("model=null", f"model=null: expected one of {MODELS}."),
        ("model=[1]", f"model=[1]: expected one of {MODELS}."),
        ("optimizer=[1]", "optimizer=[1]: this value cannot be taken (Cannot merge DictConfig with ListConfig)."),
        ("trainer=5", "trainer=5: expected one of cpu, ddp, gpu, sharded."),
        ("=5", "=5: expected NAME=VALUE."),
        ("model.hidden_size", "model.hidden_size: expected an option with its value, model.hidden_size=VALUE."),
        ("k=[5", """k=[5: this value cannot be read; if it is a text, put it in quotes: k="'[5'"."""),
        ("seed=${x}", "seed: Interpolation key 'x' not found."),
    ],
)
def test_what_hydra_refuses_is_one_sentence_about_the_option(argument: str, sentence: str, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", argument])
    with pytest.raises(SystemExit) as stop, one_sentence("train"), initialize_config_dir(str(CONF), version_base="1.3"):
        assert compose("train", [argument]).seed
    assert stop.value.code == f"Error: {sentence}"


@pytest.mark.parametrize("argument", ["+x=1", "++x=1"])
def test_an_option_that_nothing_would_read_is_refused(argument: str):
    check_arguments(
        "train", ["++max_epochs=1", "+trainer.gradient_clip_val=1", "+model=srgnn", "+hydra/launcher=basic"]
    )
    with pytest.raises(UserError, match="there is no option x"):
        check_arguments("train", [argument])


@pytest.mark.parametrize(
    ("program", "argument", "sentence"),
    [
        ("train", "paths=out", "paths=out: expected options such as paths.data=VALUE."),
        ("train", "~paths", "~paths: expected options such as paths.data=VALUE."),
        ("tune", "optimizer=null", "optimizer=null: expected options such as optimizer.lr=VALUE."),
        ("serve", "limits=5", "limits=5: expected options such as limits.clicks=VALUE."),
        ("recommend", "columns=sku", "columns=sku: expected options such as columns.items=VALUE."),
        ("train", "resume=", "resume=: expected the name of a file or folder."),
        ("train", "paths.outputs=''", "paths.outputs='': expected the name of a file or folder."),
        ("train", "paths.outputs=null", "paths.outputs=null: expected the name of a file or folder"),
        ("train", "hydra.run.dir=", "hydra.run.dir=: expected the name of a file or folder"),
        ("compare", "output=", "output=: expected the name of a file or folder"),
    ],
)
def test_a_group_as_one_value_and_a_file_without_a_name_are_refused(program: str, argument: str, sentence: str):
    check_arguments(program, ["-m", "optimizer={lr:0.1},{lr:0.2}", "checkpoint=", "space=null"])
    check_arguments(program, ["optimizer={lr: 1}", "columns={items: a}", "paths.outputs=o", "init_from=null", "seed="])
    with pytest.raises(UserError) as error:
        check_arguments(program, [argument])
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("k=5,10", "k=5,10: give a list, k=[5,10], or -m for one run per value."),
        ("seed=0,1", "seed=0,1: give one value, or -m for one run per value."),
        ("model=srgnn,gru4rec", "model=srgnn,gru4rec: give one value, or -m for one run per value."),
    ],
)
def test_a_list_is_advised_for_options_that_take_one(argument: str, sentence: str, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", argument])
    with pytest.raises(SystemExit) as stop, one_sentence("train"), initialize_config_dir(str(CONF), version_base="1.3"):
        compose("train", [argument])
    assert stop.value.code == f"Error: {sentence}"


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "null"), (True, "true"), (False, "false"), ("Nonesuch", "Nonesuch")]
)
def test_values_are_shown_in_the_words_of_the_configuration(value, shown: str):
    with pytest.raises(UserError, match=rf"^dataset\.path={shown}: expected"), options_of(CONFIG, "dataset"):
        raise ArgumentError("path", value, "a file")


def test_only_what_a_user_can_fix_becomes_a_sentence(monkeypatch):
    with pytest.raises(SystemExit) as stop, one_sentence("train"):
        raise UserError("There is no file.")
    assert stop.value.code == "Error: There is no file."
    for error in (FileNotFoundError(errno.ENOENT, "No such file", "x"), KeyError("x")):  # faults of the program itself
        with pytest.raises(type(error)), one_sentence("train"):
            raise error
    with pytest.raises(SystemExit) as stop, one_sentence("train"):  # another library wrote, such as a logger
        raise OSError(errno.ENOSPC, "No space left on device", "metrics.csv")
    assert stop.value.code == (
        "Error: Cannot write metrics.csv (No space left on device): free some space or name another folder with "
        "paths.outputs=FOLDER."
    )
    monkeypatch.setattr("srgnn.cli.errors.GRACE", 0.1)
    monkeypatch.setenv("LOCAL_RANK", "1")  # another process lets the first one speak, which ends it then
    begin = time.monotonic()
    with pytest.raises(SystemExit) as stop, one_sentence("train"):
        raise UserError("There is no file.")
    assert stop.value.code == "Error: There is no file."
    assert time.monotonic() - begin > 0.1
