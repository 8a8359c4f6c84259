import json
import os
from pathlib import Path

import pytest

from srgnn.cli.runs import finished_run, read_result, resumed
from srgnn.errors import UserError


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
    expected = ["model.hidden_size=8", "seed=2", f"resume='{path}/last.ckpt'", f"hydra.run.dir='{path}'"]
    assert resumed(["seed=2", "resume=last"]) == expected
    assert resumed(["seed=2"]) == ["seed=2"]
    for wrong in ("nowhere.ckpt", str(tmp_path)):
        with pytest.raises(UserError, match="expected a checkpoint in the folder of its run, or last"):
            resumed([f"resume={wrong}"])
    monkeypatch.setenv("LOCAL_RANK", "1")  # a further process is given the complete options
    assert resumed(["resume=last"]) == ["resume=last"]
