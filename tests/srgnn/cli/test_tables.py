import io
import json
import sys
from pathlib import Path

import pytest

from srgnn.cli.runs import swept_runs
from srgnn.cli.tables import print_sweep, say, show_number

METRICS = {"recall@5": 0.25, "mrr@5": 0.125, "recall@20": 0.5, "mrr@20": 0.25, "coverage@20": 1.0}


def test_ids_and_paths_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]):
    say("[bold]a[/bold] [/x] :smile: \x1b[31mred")
    assert capsys.readouterr().out == "[bold]a[/bold] [/x] :smile: \\x1b[31mred\n"


def test_the_table_of_a_sweep_names_every_run_that_has_no_metrics(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for number, result in enumerate([{"metrics": {"SR-GNN": METRICS}, "seconds": 2, "overrides": ["a=1"]}, {}]):
        (tmp_path / str(number)).mkdir()
        if result:
            (tmp_path / str(number) / "result.json").write_text(json.dumps(result))
    runs = swept_runs(tmp_path, [[f"a={number}", "launcher=joblib"] for number in (1, 2, 3)])
    print_sweep(tmp_path, runs)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    rows = ["0 a=1 50.00 25.00 2", "1 a=2", "stopped without a result", "2 a=3", "not started"]
    assert [line for line in lines if line][-5:] == rows


def test_a_run_with_other_cut_offs_has_no_figure_at_the_largest(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    short = {name: METRICS[name] for name in ("recall@5", "mrr@5")}
    for number, metrics in enumerate([short, METRICS]):
        (tmp_path / str(number)).mkdir()
        result = {"metrics": {"SR-GNN": metrics}, "seconds": 2, "overrides": [f"a={number}"]}
        (tmp_path / str(number) / "result.json").write_text(json.dumps(result))
    print_sweep(tmp_path, swept_runs(tmp_path, [["a=0"], ["a=1"]]))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line][-2:] == ["0 a=0 2", "1 a=1 50.00 25.00 2"]


def test_lines_of_a_run_begin_with_its_number(monkeypatch: pytest.MonkeyPatch):
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(sys, "__stdout__", written)
    show_number(3)
    say("one\n\ntwo")
    sys.stdout.write("10 %\r100 %")
    assert written.getvalue() == "[3] one\n[3] two\n"
    print()
    assert written.getvalue().endswith("[3] 100 %\n")
