import io
import sys

import pytest

from srgnn.progress import Progress


@pytest.mark.parametrize("seconds", [0, 30])
def test_where_no_bar_can_move_long_work_is_logged_in_lines(capfd, caplog, monkeypatch, seconds: float):
    monkeypatch.setattr("srgnn.progress.SECONDS", seconds)
    monkeypatch.setattr(sys, "modules", {name: each for name, each in sys.modules.items() if name != "ipykernel"})
    caplog.set_level("INFO")
    assert list(Progress(range(4), desc="SR-GNN")) == [0, 1, 2, 3]
    lines = ["SR-GNN: 0 % after 0 s", *(f"SR-GNN: {share} % after 0 s" for share in (25, 50, 75))]
    assert caplog.messages == (lines[-len(caplog.messages) :] if seconds == 0 else [])
    assert len(caplog.messages) >= (3 if seconds == 0 else 0)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch, caplog):
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    caplog.set_level("INFO")
    list(Progress(range(4), desc="SR-GNN", mininterval=0))
    assert "SR-GNN: 100%|" in terminal.getvalue()
    assert not caplog.messages
