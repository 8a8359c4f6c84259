"""The tables of docs/results.md, written by docs/results.py."""

import importlib.util
import json
from pathlib import Path

import polars as pl
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from srgnn.cli import CONF
from srgnn.models import MODELS

ROOT = Path(__file__).resolve().parents[1]
FIELD = "\n## The field\n\n| model | Diginetica |\n| --- | --- |\n| SR-GNN | 50.73 / 17.59 |\n| **POP** | |\n"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    specification = importlib.util.spec_from_file_location("results_page", ROOT / "docs" / "results.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(__import__("sys").modules, "results_page", module)
    specification.loader.exec_module(module)
    page = tmp_path / "results.md"
    page.write_text(f"# Results\n\n{module.BEGIN}{module.END}{FIELD}")
    monkeypatch.setattr(module, "PAGE", page)
    return module


def finished(folder: Path, recall: float, *options: str) -> str:
    """The folder of a run of SR-GNN with two test sessions, in which V-SKNN ranks one target better."""
    metrics = {"recall@20": recall, "mrr@20": 0.2, "coverage@20": 0.5, "popularity@20": 0.25, "novelty@20": 9.0}
    lengths = {"1-5": metrics, "6+": {**metrics, "recall@20": 0.1}}
    folder.mkdir(parents=True)
    result = {
        "overrides": ["dataset=diginetica", "experiment=paper_tables", "paths.data=/data", *options],
        "protocol": "paper",
        "metrics": {
            "SR-GNN": metrics,
            "V-SKNN": {**metrics, "mrr@20": 0.3},
            "S-POP": {**metrics, "recall@20": recall + 0.1},
        },
        "by_length": {"SR-GNN": lengths},
        "seconds": 61.4,
        "peak_memory_gb": 0.83,
        "resumed": False,
    }
    (folder / "result.json").write_text(json.dumps(result))
    ranks = {
        "session": [0, 1],
        "clicks": [1, 2],
        "target": [3, 4],
        "SR-GNN": [2, 30],
        "V-SKNN": [1, 30],
        "S-POP": [9, 9],
    }
    pl.DataFrame(ranks).write_parquet(folder / "ranks.parquet")
    return str(folder)


def row(page: Path, table: int = 0) -> list[str]:
    lines = [line for line in page.read_text().splitlines() if line.startswith("| SR-GNN |")]
    return [cell.strip() for cell in lines[table].strip("|").split("|")]


def test_a_finished_run_becomes_a_row_with_its_distance_from_the_published_figure(results, tmp_path: Path):
    results.main([finished(tmp_path / "run", 0.5, "model=srgnn")])
    assert "### Diginetica, `protocol=paper`" in results.PAGE.read_text()
    figures = ["SR-GNN", "50.00", "20.00", "50.73 / 17.59", "-0.73 / +2.41"]
    assert row(results.PAGE) == [*figures, "61", "0.8", "`model=srgnn`"]
    assert row(results.PAGE, 1) == ["SR-GNN", "50.00 / 20.00", "10.00 / 20.00", "50.0", "25.0", "9.0"]
    assert "SR-GNN minus V-SKNN: recall@20 +0.00 [+0.00, +0.00]" in results.PAGE.read_text()  # the best by mrr
    assert "SR-GNN minus S-POP: recall@20 " in results.PAGE.read_text()  # the best by recall


def test_a_table_grows_and_a_later_run_replaces_the_same_one(results, tmp_path: Path):
    results.main(
        [
            finished(tmp_path / "first", 0.5, "model=srgnn"),
            finished(tmp_path / "seed", 0.4, "model=srgnn", "seed=1"),
        ]
    )
    results.main([finished(tmp_path / "again", 0.6, "model=srgnn"), finished(tmp_path / "other", 0.3, "model=narm")])
    recalls = {
        line.split("|")[1].strip(): line.split("|")[2].strip()
        for line in results.PAGE.read_text().splitlines()
        if line.startswith("| ") and "`" in line
    }
    assert recalls == {"NARM": "30.00", "SR-GNN": "60.00", "SR-GNN, seed 1": "40.00"}
    assert results.PAGE.read_text().endswith(FIELD.lstrip("\n"))


@pytest.mark.parametrize("options", [["model=srgnn", "model.hidden_size=8"], ["model=narm", "recipe=srgnn_fast"], []])
def test_runs_with_other_options_are_named_and_left_out(results, options: list[str], tmp_path: Path, capsys):
    results.main([finished(tmp_path / "run", 0.5, *options)])
    assert "Left out" in capsys.readouterr().out
    assert "### " not in results.PAGE.read_text()


def test_every_model_of_the_experiment_has_a_row(results):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", ["experiment=paper_tables"], return_hydra_config=True)
    swept = {f"model={name}" for name in config.hydra.sweeper.params.model.split(",")}
    assert swept == {row for row in results.ROWS if row.startswith("model=")}
    assert swept == {f"model={path.stem}" for path in (CONF / "model").iterdir()}


def test_every_row_far_from_its_published_figure_is_explained(results):
    page = (ROOT / "docs" / "results.md").read_text()
    explained = page[page.index("A row that is more than a point") : page.index('A blank in "published"')]
    published = results.read_published(page)
    for record in json.loads((ROOT / "docs" / "results.json").read_text()):
        title, name = results.ROWS[record["row"]]
        known = published.get(name or "", {}).get(results.DATA_SETS[record["data_set"]])
        if known is None or record["row"] == "recipe=srgnn_fast" or record["protocol"] != "paper":
            continue
        ours = [100 * record["metrics"][metric] for metric in results.METRICS]
        if abs(ours[0] - known[0]) > 1 or abs(ours[1] - known[1]) > 0.8:
            assert f"**{title}**" in explained, (title, ours, known)


def test_every_model_can_be_chosen():
    targets = {OmegaConf.load(path).get("_target_", "").rpartition(".")[2] for path in (CONF / "model").iterdir()}
    assert {settings.__name__ for settings in MODELS.values()} <= targets


def test_the_tables_of_the_page_are_those_of_the_record(results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    page, record = (ROOT / "docs" / name for name in ("results.md", "results.json"))
    results.PAGE.write_text(page.read_text())
    results.PAGE.with_suffix(".json").write_text(record.read_text())
    results.main([])
    assert results.PAGE.read_text() == page.read_text()
