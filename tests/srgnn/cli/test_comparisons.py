import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from srgnn.cli.comparison_records import records
from srgnn.cli.comparison_tables import latex, markdown, print_sheet, sheets
from srgnn.cli.comparisons import compared_rows, find_runs, reference_of, runs_option
from srgnn.comparison.rows import compare
from srgnn.errors import UserError

PREFIXES = 300


def make_run(folder: Path, *overrides: str, shift: int = 0, prefixes: int = PREFIXES, **result) -> Path:
    """A finished run of 300 prefixes, in sessions of three; its ranks are worse by a shift."""
    generator = np.random.default_rng(0)
    base = generator.integers(1, 40, prefixes)
    ranks = {"SR-GNN": base + shift + generator.integers(0, 2, prefixes), "Popularity": base + 9}
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides))
    place = {"session": np.arange(prefixes) // 3, "clicks": 3 - np.arange(prefixes) % 3, "target": base % 7}
    pl.DataFrame({name: each.astype("int32") for name, each in (place | ranks).items()}).write_parquet(
        folder / "ranks.parquet"
    )
    metrics, by_length = {}, {}
    for name, rank in ranks.items():
        hit = rank <= 20
        values = {"recall@20": hit.mean(), "mrr@20": (hit / rank).mean(), "ndcg@20": 0.2}
        metrics[name] = values | {"coverage@20": 0.5, "popularity@20": 0.1, "novelty@20": 7.25}
        by_length[name] = {"1": {"prefixes": 100, **values}, "2": {"prefixes": 200, **values}}
    content = {
        "dataset": "toy_log",
        "protocol": "validated",
        "metrics": metrics,
        "by_length": by_length,
        "seconds": 12.5,
        "peak_memory_gb": 0.75,
        "resumed": False,
        "overrides": list(overrides),
    }
    (folder / "result.json").write_text(json.dumps(content | result))
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two seeds by two settings, of which one is clearly worse."""
    for number, (seed, steps) in enumerate(((0, 1), (0, 0), (1, 1), (1, 0))):
        overrides = [f"seed={seed}", f"model.propagation_steps={steps}", "refit=False", f"paths.outputs={tmp_path}"]
        make_run(tmp_path / "sweep" / str(number), *overrides, shift=5 * (1 - steps) + seed)
    (tmp_path / "sweep" / "result.json").write_text('{"runs": 4, "failed": 0}')
    return tmp_path / "sweep"


def test_paths_need_no_option(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day=1").mkdir()
    assert runs_option(["a b", "k=5", "day=1", "-h", "c,d"]) == ["k=5", "-h", "runs=[a b,'day=1','c,d']"]
    assert runs_option(["runs=x"]) == ["runs=x"]
    assert runs_option(["--cfg", "job", "outputs/day=2*"]) == ["--cfg", "job", "runs=['outputs/day=2*']"]


def test_runs_that_differ_in_their_seed_are_one_row(sweep: Path):
    (found,) = compared_rows(find_runs([str(sweep)]), [20])
    assert [row.name for row in found.rows] == [
        "SR-GNN propagation_steps=1",
        "SR-GNN propagation_steps=0",
        "Popularity",
    ]
    assert [len(row.tests) for row in found.rows] == [2, 2, 1]
    assert (found.title, found.lengths) == ("toy_log, protocol=validated", {"1": 100, "2": 200})


def test_what_the_trainer_changes_in_training_makes_a_row_and_where_it_runs_does_not(tmp_path: Path):
    for number, options in enumerate(
        (
            ["trainer=ddp"],
            ["trainer.devices=4", "seed=1"],
            ["trainer.gradient_clip_val=1"],
            ["trainer.precision=16-mixed"],
        )
    ):
        make_run(tmp_path / str(number), *options)
    (found,) = compared_rows(find_runs([str(tmp_path)]), [20])
    trained = [row for row in found.rows if row.name != "Popularity"]
    assert [len(row.tests) for row in trained] == [2, 1, 1]


def test_files_beside_the_folders_of_a_pattern_are_left_out(sweep: Path):
    (sweep / "multirun.yaml").write_text("")
    for paths in ([f"{sweep}/*"], sorted(map(str, sweep.iterdir()))):
        assert len(find_runs(paths)) == 4
    with pytest.raises(UserError, match=r"multirun\.yaml is a file: name folders of runs or sweeps\."):
        find_runs([str(sweep / "multirun.yaml")])


def test_equal_values_are_equal_however_they_are_written(tmp_path: Path):
    for number, text in enumerate(("4e-3", "0.004", "0.001")):
        make_run(
            tmp_path / str(number), f"optimizer.lr={text}", f"seed={number}", "refit=False" if number else "refit=false"
        )
    (found,) = compared_rows(find_runs([str(tmp_path)]), [20])
    assert [row.name for row in found.rows] == ["SR-GNN lr=0.004", "SR-GNN lr=0.001", "Popularity"]


def test_what_cannot_be_compared_is_left_out_with_a_warning(sweep: Path, caplog):
    shutil.rmtree(sweep / "3")
    (sweep / "3" / ".hydra").mkdir(parents=True)
    (sweep / "3" / ".hydra" / "overrides.yaml").write_text("[]")
    (sweep / "2" / "result.json").write_text('{"error": "diverged", "overrides": []}')
    (sweep / "1" / "result.json").write_text("{")
    runs = find_runs([str(sweep)])
    assert [run.folder.name for run in runs] == ["0"]
    assert "1/result.json is damaged" in caplog.text
    assert f"have not finished are left out: 1 ({sweep}/3)" in caplog.text
    assert f"have failed are left out: 1 ({sweep}/2)" in caplog.text
    shutil.rmtree(sweep / "0")
    for path, sentence in ((sweep, "There is no finished run in "), (sweep / "none*", "There is no folder ")):
        with pytest.raises(UserError, match=sentence):
            find_runs([str(path)])


def test_runs_of_a_day_are_found_by_a_pattern_and_in_their_order(tmp_path: Path):
    for number in (10, 9):
        make_run(tmp_path / "day" / str(number), f"batch_size={number}")
    assert [run.folder.name for run in find_runs([f"{tmp_path}/da*"])] == ["9", "10"]
    assert [run.folder.name for run in find_runs([f"{tmp_path}/day/9/result.json", f"{tmp_path}/day/9"])] == ["9"]


def test_other_data_protocols_and_prefixes_are_tables_of_their_own(tmp_path: Path):
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", dataset="other")
    make_run(tmp_path / "c", protocol="paper", resumed=True)
    make_run(tmp_path / "d", prefixes=150)
    make_run(tmp_path / "e")
    (tmp_path / "e" / "ranks.parquet").unlink()
    found = compared_rows(find_runs([str(tmp_path)]), [20])
    assert [each.title for each in found] == [
        "toy_log, protocol=validated, 300 test prefixes",
        "other, protocol=validated",
        "toy_log, protocol=paper",
        "toy_log, protocol=validated, 150 test prefixes",
        "toy_log, protocol=validated, without ranks",
    ]
    assert "selects on the test set" in found[2].notes[0]
    assert "the run was resumed" in found[2].notes[1]
    assert not compare(found[4]).intervals
    assert "without ranks.parquet" in found[4].notes[0]


def test_other_training_sessions_are_a_table_of_their_own(tmp_path: Path):
    for name, sessions in (("a", 400), ("b", 800)):
        make_run(tmp_path / name, data={"train_sessions": sessions})
    found = compared_rows(find_runs([str(tmp_path)]), [20])
    assert [each.title.partition("prefixes, ")[2] for each in found] == [
        "400 training sessions",
        "800 training sessions",
    ]


def test_rows_are_told_apart_by_their_configuration(tmp_path: Path):
    config = {"batch_size": 100, "model": {"scale": None}, "k": [20], "seed": 0, "dataset": {"path": "a.csv"}}
    make_run(tmp_path / "0", "seed=0", config=config)
    make_run(tmp_path / "1", "seed=1", "batch_size=100", "k=[5]", config=config | {"k": [5], "seed": 1})
    (found,) = compared_rows(find_runs([str(tmp_path)]), [20])
    assert [(row.name, len(row.tests)) for row in found.rows] == [("SR-GNN", 2), ("Popularity", 1)]
    make_run(tmp_path / "2", "recipe=fast", config=config | {"model": {"scale": 12}})
    make_run(tmp_path / "3", config=config | {"batch_size": 7})  # another default, in another version
    (found,) = compared_rows(find_runs([str(tmp_path)]), [20])
    assert [row.name for row in found.rows[:3]] == [
        "SR-GNN batch_size=100 scale=null",
        "SR-GNN batch_size=100 scale=12",
        "SR-GNN batch_size=7 scale=null",
    ]


def test_cut_offs_that_a_run_did_not_measure_come_from_its_ranks(tmp_path: Path):
    make_run(tmp_path / "worse", "batch_size=1", shift=9)
    make_run(tmp_path / "better", "batch_size=2")
    (found,) = compared_rows(find_runs([str(tmp_path)]), [3])
    better, worse = found.rows[:2]
    assert better.mean("mrr@3") > worse.mean("mrr@3") == 0
    assert compare(found).reference == "SR-GNN batch_size=2"


def test_the_same_run_twice_counts_once(tmp_path: Path):
    for name in ("a", "b"):
        make_run(tmp_path / name, "seed=3")
    (found,) = compared_rows(find_runs([str(tmp_path)]), [20])
    assert len(found.rows[0].tests) == 1
    assert found.notes[0] == f"{tmp_path}/b repeats {tmp_path}/a and is left out."


def test_the_reference_is_a_row_or_a_run(sweep: Path):
    (found,) = compared_rows(find_runs([str(sweep)]), [20])
    assert reference_of(found, "Popularity") == "Popularity"
    assert reference_of(found, f"{sweep}/../sweep/3") == "SR-GNN propagation_steps=0"
    assert reference_of(found, "nothing") is None


def test_tables_show_deviations_significance_and_the_best_row(sweep: Path, capsys):
    (found,) = compared_rows(find_runs([str(sweep)]), [20])
    comparison = compare(found)
    metrics, differences, recall, _ = sheets(comparison)
    worse = metrics.rows[1]
    assert "±" in worse[1].text
    assert worse[1].mark == "**"
    assert metrics.rows[0][1].is_best
    assert not worse[1].is_best
    assert [cell.text for cell in worse[-3:]] == ["12", "0.8", "2"]
    assert "Holm's method for the 4 comparisons" in metrics.notes[0]
    assert [row[0].text for row in differences.rows][:2] == ["SR-GNN propagation_steps=0", "Popularity"]
    assert [cell.text for cell in recall.rows[0]] == ["prefixes", "100", "200"]
    for sheet in (metrics, differences, recall):
        print_sheet(sheet)
    shown = capsys.readouterr().out
    assert "…" not in shown  # nothing is cut
    assert "SR-GNN propagation_steps=0" in shown


def test_markdown_and_latex_escape_what_is_special(sweep: Path):
    (found,) = compared_rows(find_runs([str(sweep)]), [20])
    tables = [sheets(compare(found))]
    text = markdown(tables)
    assert "## toy_log, protocol=validated" in text
    assert "| SR-GNN propagation\\_steps=0 |" in text
    assert "\\*\\* |" in text
    source = latex(tables)
    assert r"SR-GNN propagation\_steps=0 &" in source
    assert r"\textbf{" in source
    assert "$^{**}$" in source
    assert "& $-$" in source  # a minus, not a hyphen
    assert source.count(r"\begin{table}") == source.count(r"\end{table}") == 4


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_the_latex_table_compiles_as_it_is(sweep: Path, tmp_path: Path):
    (found,) = compared_rows(find_runs([str(sweep)]), [20])
    document = r"\documentclass{article}\usepackage{booktabs, graphicx}\begin{document}%s\end{document}"
    (tmp_path / "a.tex").write_text(document % latex([sheets(compare(found))]))
    subprocess.run(["pdflatex", "-halt-on-error", "a.tex"], cwd=tmp_path, check=True)
    assert "Overfull" not in (tmp_path / "a.log").read_text()


def test_the_csv_holds_every_figure(sweep: Path):
    (found,) = compared_rows(find_runs([str(sweep)]), [20])
    comparison = compare(found)
    table = records([comparison])
    worse = table.filter(row="SR-GNN propagation_steps=0", metric="mrr@20", clicks="all")
    difference = comparison.differences["SR-GNN propagation_steps=0", "mrr@20"]
    assert worse["mean"].item() == comparison.rows[1].mean("mrr@20")
    assert worse["p_holm"].item() == difference.corrected
    assert worse["against"].item() == "SR-GNN propagation_steps=1"
    assert table.filter(row="Popularity", metric="recall@20")["clicks"].to_list() == ["all", "1", "2"]
    assert table.filter(metric="memory_gb")["mean"].to_list() == [0.75, 0.75]


def with_clicks(folder: Path, recall: float) -> Path:
    """The folder of a run that knows the training clicks of its targets: every third was never clicked."""
    table = pl.read_parquet(folder / "ranks.parquet")
    clicks = np.where(np.arange(len(table)) % 3 == 0, 0, 40)
    table.with_columns(target_clicks=pl.Series(clicks.astype("int32"))).write_parquet(folder / "ranks.parquet")
    result = json.loads((folder / "result.json").read_text())
    cold = {"prefixes": 100, "recall@20": recall, "mrr@20": 0.1, "above_chance@20": 50 * recall}
    groups = {"0": cold, "20+": {"prefixes": 200, "recall@20": 0.5, "mrr@20": 0.3}}
    result["by_clicks"] = dict.fromkeys(result["metrics"], groups)
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def test_classes_of_clicks_have_tables_with_significance_and_the_factor_above_chance(tmp_path: Path, capsys):
    with_clicks(make_run(tmp_path / "a", "batch_size=1"), 0.5)
    with_clicks(make_run(tmp_path / "b", "batch_size=2", shift=9), 0.25)
    (found,) = compared_rows(find_runs([str(tmp_path)]), [20])
    comparison = compare(found, "SR-GNN batch_size=1")
    recall, mrr = sheets(comparison)[-2:]
    assert recall.title == "recall@20 by the training clicks of the target"
    assert recall.header == ["0", "20+", "0, times chance"]
    assert [[cell.text + cell.mark for cell in row] for row in recall.rows[:3]] == [
        ["prefixes", "100", "200", ""],
        ["SR-GNN batch_size=1", "50.00", "50.00", "25.00"],
        ["SR-GNN batch_size=2", "25.00**", "50.00**", "12.50"],
    ]
    assert recall.rows[1][1].is_best
    assert mrr.header == ["0", "20+"]
    assert "for the 4 comparisons of this table" in recall.notes[0]
    print_sheet(recall)
    assert "12.50" in capsys.readouterr().out
    cold = records([comparison]).filter(row="SR-GNN batch_size=2", target_clicks="0")
    assert cold["metric"].to_list() == ["prefixes", "recall@20", "mrr@20", "above_chance@20"]
    assert cold["mean"].to_list() == [100, 0.25, 0.1, 12.5]
    difference = comparison.by_clicks["SR-GNN batch_size=2", "recall@20", "0"]
    assert cold["p_holm"].to_list() == [
        None,
        difference.corrected,
        comparison.by_clicks["SR-GNN batch_size=2", "mrr@20", "0"].corrected,
        None,
    ]


def test_runs_of_older_versions_have_no_classes_and_stand_beside_newer_ones(tmp_path: Path):
    make_run(tmp_path / "a", "batch_size=1")
    (old,) = compared_rows(find_runs([str(tmp_path)]), [20])
    assert (old.classes, old.target_clicks) == ({}, None)
    with_clicks(make_run(tmp_path / "b", "batch_size=2", shift=9), 0.25)
    (both,) = compared_rows(find_runs([str(tmp_path)]), [20])
    recall = sheets(compare(both))[-2]
    assert [[cell.text for cell in row[1:]] for row in recall.rows[1:3]] == [["", "", ""], ["25.00", "50.00", "12.50"]]
