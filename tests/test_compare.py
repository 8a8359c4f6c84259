"""The program compare.py on runs of train.py."""

from pathlib import Path

import polars as pl

from srgnn.baselines import BASELINES

SMALL = ["dataset.sessions=600", "dataset.items_per_category=5", "max_epochs=1", "model.hidden_size=8", "refit=false"]


def test_a_sweep_over_seeds_becomes_tables_and_pictures(program, tmp_path: Path):
    swept = program("train.py", "-m", *SMALL, "seed=0,1", "model.propagation_steps=0,1")
    assert swept.returncode == 0, swept.stderr
    compared = program("compare.py", "outputs", "k=[5,20]", "output=~/a table", HOME=str(tmp_path))
    assert compared.returncode == 0, compared.stderr
    assert "SR-GNN propagation_steps=0" in compared.stdout
    folder = tmp_path / "a table"
    pictures = [f"{name}.{kind}" for name in ("clicks", "lengths", "metrics") for kind in ("png", "svg")]
    tables = [f"comparison.{kind}" for kind in ("csv", "md", "tex")]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*tables, *pictures])
    figures = pl.read_csv(folder / "comparison.csv", infer_schema_length=None)
    rows = ["SR-GNN propagation_steps=0", "SR-GNN propagation_steps=1", *BASELINES]
    assert figures["row"].unique(maintain_order=True).to_list() == rows
    assert figures.filter(metric="mrr@5", clicks="all", target_clicks="all")["seeds"].to_list() == [2, 2] + [1] * len(
        BASELINES
    )
    assert (
        figures.filter(metric="recall@5", clicks="all", target_clicks="all")["p"].null_count() == 1
    )  # that of the reference

    against = program("compare.py", "outputs", "against=nobody")
    assert (
        "against=nobody: expected the folder of a run, or one of the rows SR-GNN propagation_steps=0" in against.stderr
    )
    nothing = program("compare.py")
    assert nothing.stderr == "Error: runs is missing: give runs=... (compare.py --help shows all options).\n"
    empty = program("compare.py", "runs=[]")
    assert empty.stderr == "Error: runs is empty: name the folders of runs or sweeps.\n"
    (tmp_path / "none").mkdir()
    assert "There is no finished run in none: train one with" in program("compare.py", "none").stderr
    (tmp_path / "log.csv").write_text("")
    assert "log.csv is a file: name folders of runs or sweeps." in program("compare.py", "log.csv").stderr
