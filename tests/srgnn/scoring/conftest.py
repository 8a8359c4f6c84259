from pathlib import Path

import polars as pl
import pytest
from small_checkpoint import write_checkpoint

pytest.importorskip("pyarrow")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model.ckpt")


@pytest.fixture
def visits() -> pl.DataFrame:
    """Twenty sessions: of known items, of unknown ones among them, of unknown ones alone, empty and missing ones."""
    clicks = [["A", "B", "A"], ["C", "x"], ["x", "y"], [], None] * 4
    return pl.DataFrame({"visit": range(20), "items": clicks, "shop": ["north", "south"] * 10})
