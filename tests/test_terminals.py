"""The programs on terminals and pipes that are not UTF-8."""

import logging
import os
import pty
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from srgnn.cli.tables import show_log

SOURCE = Path(__file__).resolve().parents[1] / "src"
OWN = ["dataset=clicks", "dataset.path=log.csv", "dataset.items.path=items.csv", "dataset.rules.test_days=1"]


def write_log(folder: Path) -> None:
    """Writes a log and a table of items with characters that few encodings have."""
    clicks = [f"{s},é{(s + c) % 7}☃,{1_700_000_000 + s * 3600 + c}" for s in range(60) for c in range(3 + s % 2)]
    (folder / "log.csv").write_text("\n".join(["session_id,item_id,timestamp", *clicks]) + "\n", "utf-8")
    items = [f"é{i}☃,“Titel” {i} 日本" for i in range(7)]
    (folder / "items.csv").write_text("\n".join(["id,title", *items]) + "\n", "utf-8")


def run(folder: Path, encoding: str, program: str, *arguments: str) -> tuple[int, str, str]:
    """Runs a program whose streams have an encoding; returns its exit code, output and errors."""
    done = subprocess.run(
        [sys.executable, str(SOURCE / program), *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=200,
    )
    return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "e", "bar"), [("ascii", "?", "#" * 20), ("cp1252", "é", "#" * 20), ("utf-8", "é", "█" * 20)]
)
def test_a_preparation_is_shown_in_the_encoding_of_the_terminal(tmp_path: Path, encoding: str, e: str, bar: str):
    write_log(tmp_path)
    code, output, errors = run(tmp_path, encoding, "prepare.py", *OWN)
    assert (code, errors) == (0, "")
    assert bar in output
    unknown = "é0☃" if encoding == "utf-8" else f"{e}0?"
    code, _, errors = run(tmp_path, encoding, "prepare.py", *OWN, "dataset.columns.item=é0☃")
    assert code == 1
    assert unknown in errors
    assert "Traceback" not in errors


def test_training_evaluation_and_recommendations_are_shown_in_cp1252(tmp_path: Path):
    write_log(tmp_path)
    code, output, errors = run(tmp_path, "cp1252", "train.py", *OWN, "max_epochs=1", "model.hidden_size=8", "k=[5]")
    assert (code, "Traceback" in errors) == (0, False), errors
    assert "Popularity" in output
    code, output, errors = run(tmp_path, "cp1252", "evaluate.py", "checkpoint=last", "k=[5]")
    assert (code, "Traceback" in errors) == (0, False), errors
    code, output, errors = run(tmp_path, "cp1252", "recommend.py", "session=é1☃,é2☃", "k=2")
    assert (code, errors) == (0, "")
    assert "After é1?, é2?" in output
    assert output.count("“Titel” ") == 2


def test_a_stream_that_is_no_text_file_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", object())
    monkeypatch.setattr(logging.getLogger("srgnn"), "handlers", [])  # the one that is added here goes with the test
    show_log()


def test_a_terminal_shows_moving_bars(tmp_path: Path):
    small = ["dataset.sessions=300", "dataset.items_per_category=5", "max_epochs=1", "model.hidden_size=8"]
    leader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 200))
    process = subprocess.Popen(
        [sys.executable, str(SOURCE / "train.py"), *small, "refit=false"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "cp1252"},
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # the terminal is closed
        while piece := os.read(leader, 4096):
            shown += piece
    os.close(leader)
    assert process.wait() == 0
    for text in (b"it/s, ", b"loss_step=", b"valid/mrr@20=", b"100%|###", b"Markov chain:"):
        assert text in shown
