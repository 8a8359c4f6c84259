import csv
from pathlib import Path

from srgnn.training.loggers import CSVLog


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "logs" / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def test_a_resumed_stage_continues_where_its_checkpoint_was_written(tmp_path: Path):
    log = CSVLog(tmp_path)
    for stage in ("select", "refit"):
        log.begin(stage)
        for step in (0, 1, 2):
            log.log_metrics({"loss": step / 2}, step)
    log.log_metrics({"mrr": 0.5}, 2)
    resumed = CSVLog(str(tmp_path))
    resumed.begin("refit", 2)
    resumed.log_metrics({"loss": 9, "new": 1}, 2)
    assert rows(tmp_path) == [
        *({"stage": "select", "step": str(step), "loss": str(step / 2)} for step in (0, 1, 2)),
        *({"stage": "refit", "step": str(step), "loss": str(step / 2)} for step in (0, 1)),
        {"stage": "refit", "step": "2", "loss": "9", "new": "1"},
    ]


def test_every_row_is_in_the_file_at_once_and_half_a_row_is_left_out(tmp_path: Path):
    log = CSVLog(tmp_path)
    log.begin("paper")
    log.log_metrics({"loss": 1.5, "mrr": 0.5}, 0)
    log.log_metrics({"loss": 1.25}, 1)
    assert [row["loss"] for row in rows(tmp_path)] == ["1.5", "1.25"]
    with log.path.open("a") as file:
        file.write("paper,2,1.")  # the process was killed here
    CSVLog(tmp_path).begin("paper", 3)
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1"]
