from pathlib import Path

import pytest
from services import write_checkpoint

from srgnn.serving.model import ServedModel


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model.ckpt")


@pytest.fixture
def model(checkpoint: Path) -> ServedModel:
    return ServedModel(lambda: checkpoint)
