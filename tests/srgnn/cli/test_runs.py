import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from srgnn.cli import CONF
from srgnn.cli.resuming import check_resumed, resumed
from srgnn.cli.runs import check_row, finished_run, lock_run, own_folder, planned_runs, read_result
from srgnn.errors import UserError, for_hydra
from srgnn.saving import lock_folder


def make_run(folder: Path, result: dict | None = None, age: int = 0) -> None:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("- model.hidden_size=8\n- seed=1\n")
    (folder / "last.ckpt").write_text("")
    paths = [folder / "last.ckpt"]
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
        paths.append(folder / "result.json")
    for path in paths:
        os.utime(path, (1e9 - age, 1e9 - age))


def test_last_is_the_newest_run_that_finished(tmp_path: Path):
    make_run(tmp_path / "old", {"checkpoint": "best.ckpt"}, age=20)
    make_run(tmp_path / "new", {"checkpoint": "refit.ckpt"}, age=10)
    make_run(tmp_path / "failed", {"error": "no"}, age=5)
    make_run(tmp_path / "unfinished")
    assert finished_run("last", str(tmp_path)) == tmp_path / "new" / "refit.ckpt"
    assert finished_run("x.ckpt", str(tmp_path)) == Path("x.ckpt")
    assert read_result(tmp_path / "unfinished") is None
    with pytest.raises(UserError, match="There is no finished run in "):
        finished_run("last", str(tmp_path / "unfinished"))


def test_a_sweep_over_an_interval_is_refused():
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(UserError, match=r"lr=interval\(1,2\): a"):
        planned_runs(OmegaConf.create({"hydra": {"overrides": {"task": ["optimizer.lr=interval(1,2)"]}}}))


def test_a_single_run_of_a_sweep_names_its_row():
    def check(*options: str) -> None:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            check_row(compose("train", [*options], return_hydra_config=True).hydra)

    check("seed=1")
    check("experiment=paper_tables", "model=gru4rec")
    check("experiment=paper_tables", "recipe=srgnn_fast")
    with pytest.raises(UserError, match=r"^experiment=paper_tables is a sweep: add -m .* with model=VALUE\.$"):
        check("experiment=paper_tables", "seed=1")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_result_is_skipped_with_a_warning(tmp_path: Path, content: bytes, caplog):
    make_run(tmp_path / "a", {"checkpoint": "refit.ckpt"}, age=20)
    make_run(tmp_path / "b", {"checkpoint": "best.ckpt"})
    (tmp_path / "b" / "result.json").write_bytes(content)
    assert finished_run("last", str(tmp_path)) == tmp_path / "a" / "refit.ckpt"
    assert "b/result.json is damaged" in caplog.text


def test_the_options_of_an_older_run_are_renamed(tmp_path: Path):
    make_run(tmp_path / "a")
    overrides = tmp_path / "a" / ".hydra" / "overrides.yaml"
    overrides.write_text("- model=srgnn_fast\n- dataset=diginetica\n- dataset.path=x.csv\n")
    expected = ["recipe=srgnn_fast", "dataset=diginetica_log", "dataset.path=x.csv"]
    assert resumed([f"resume={tmp_path}/a/last.ckpt"])[:3] == expected
    overrides.write_text("- dataset=diginetica\n")
    assert resumed([f"resume={tmp_path}/a/last.ckpt"])[0] == "dataset=diginetica"


def test_a_run_resumes_with_its_own_options_and_new_ones(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "outputs" / "a", age=10)
    make_run(tmp_path / "outputs" / "b")
    make_run(tmp_path / "outputs" / "c", {"checkpoint": "best.ckpt"})
    path = Path("outputs") / "b"
    folder = [f"resume={path}/last.ckpt", f"hydra.run.dir={path}"]
    assert resumed(["seed=2", "resume=last"]) == ["model.hidden_size=8", "seed=2", "hydra.output_subdir=null", *folder]
    lock = lock_folder(path)  # as a run does that is going on
    assert resumed(["resume=last"])[-1] == "hydra.run.dir=outputs/a"
    os.close(lock)
    assert resumed(["seed=2"]) == ["seed=2"]
    assert resumed([f"resume={path}"])[-2:] == folder
    for wrong in ("nowhere.ckpt", str(tmp_path)):
        with pytest.raises(
            UserError, match="expected a checkpoint in the folder of its run, the folder of a run or a sweep, or last"
        ):
            resumed([f"resume={wrong}"])
    monkeypatch.setenv("LOCAL_RANK", "1")  # a further process is given the complete options
    assert resumed(["resume=last"]) == ["resume=last"]


def test_a_sweep_is_resumed_when_none_of_its_runs_is_going_on(tmp_path: Path):
    make_run(tmp_path / "older", age=10)
    make_run(tmp_path / "sweep" / "0")
    make_run(tmp_path / "sweep" / "1")
    (tmp_path / "sweep" / "sweep.yaml").write_text("- seed=0,1\n- launcher=slurm\n- hydra.launcher.mem_gb=8\n")
    outputs = f"paths.outputs={tmp_path}"
    folder = for_hydra(str(tmp_path / "sweep"))
    sweep = (f"resume={folder}", f"hydra.sweep.dir={folder}")
    assert resumed(["resume=last", outputs]) == [
        *("-m", "seed=0,1", "launcher=slurm", "hydra.launcher.mem_gb=8"),
        *(outputs, *sweep),
    ]
    assert resumed(["resume=last", "launcher=basic", outputs]) == ["-m", "seed=0,1", "launcher=basic", outputs, *sweep]
    for wrong in ("seed=3", "batch_size=9", "max_epochs=1,2"):
        with pytest.raises(UserError, match=f"{wrong}: a sweep continues with its own options; leave it out"):
            resumed(["resume=last", wrong, outputs])
    lock = lock_folder(tmp_path / "sweep" / "1")  # as a job of a cluster does that outlives the sweep's first process
    assert resumed(["resume=last", outputs])[-1] == f"hydra.run.dir={for_hydra(str(tmp_path / 'older'))}"
    os.close(lock)


@pytest.mark.parametrize(
    "swept",
    [
        ["seed=0,1", "model.readout=local,global,hybrid", "max_epochs=3"],
        ["seed=range(3)", "dataset.path='a,b'", "+trainer.x=choice(1,2)"],
        ["k=[5],[10,20]", "seed=0,1", "seed=2,3"],
        ["model=glob(*)"],
    ],
)
def test_runs_are_planned_as_hydra_numbers_them(swept: list[str]):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = OmegaConf.create({"hydra": {"overrides": {"task": swept}}})
        overrides = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(swept)
        (theirs,) = BasicSweeper.split_arguments(overrides, None)
        assert planned_runs(config) == theirs


def test_typed_values_replace_those_of_an_experiment():
    overrides = {"task": ["experiment=x", "model=narm,stamp"]}
    hydra = {"overrides": overrides, "sweeper": {"params": {"model": "srgnn", "seed": "0,1"}}}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        planned = planned_runs(OmegaConf.create({"hydra": hydra}))
    assert [run[:2] for run in planned] == [
        [f"model={model}", f"seed={seed}"] for model in ("narm", "stamp") for seed in (0, 1)
    ]


@pytest.mark.parametrize("content", [b"\x00\xff", b"- mode", b"{a: [", b"5"])
def test_options_that_cannot_be_read_are_reported(tmp_path: Path, content: bytes):
    make_run(tmp_path / "a")
    (tmp_path / "a" / ".hydra" / "overrides.yaml").write_bytes(content)
    with pytest.raises(UserError, match="its options cannot be read from"):
        resumed([f"resume={tmp_path}/a/last.ckpt"])


def test_a_folder_belongs_to_one_run(tmp_path: Path):
    assert own_folder(f"{tmp_path}/a") == own_folder(f"{tmp_path}/a") == f"{tmp_path}/a"
    own_folder.cache_clear()  # another process
    assert own_folder(f"{tmp_path}/a") == f"{tmp_path}/a-2"
    lock_run(tmp_path / "a")
    with pytest.raises(UserError, match="A run is still going on in"):
        lock_run(tmp_path / "a")


TRAINED = {"max_epochs": 2, "seed": 0, "model": {"hidden_size": 16}, "dataset": {"path": "a.csv", "cache": "c"}}


@pytest.mark.parametrize(
    ("changes", "arguments", "refused"),
    [
        ({"max_epochs": 9}, ["max_epochs=9"], None),
        ({"max_epochs": 9}, [], "max_epochs=9: the run was trained with max_epochs=2.*start a new run"),
        ({"seed": 1}, ["seed=1"], "seed=1: the run was trained with seed=0.*leave it out"),
        ({"model": {"hidden_size": 8}}, ["model.hidden_size=8"], "hidden_size=8: .* with model.hidden_size=16"),
        ({"dataset": {"path": "b.csv", "cache": "d"}}, ["dataset.path=b.csv"], None),
        ({"model": {}}, [], "model.hidden_size=null: .* with model.hidden_size=16"),  # its stored options were cut
        ({"later": 1}, [], None),  # an option of a later version
        ({"later": 1}, ["later=1"], "later=1: the run was trained with later=null"),
    ],
)
def test_only_what_leaves_finished_epochs_as_they_are_may_change(changes: dict, arguments: list[str], refused):
    expectation = pytest.raises(UserError, match=refused) if refused else nullcontext()
    with expectation:
        check_resumed(TRAINED | changes, TRAINED, arguments)
