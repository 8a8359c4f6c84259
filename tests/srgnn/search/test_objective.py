"""The objective of a search, on a small training."""

from pathlib import Path

import pytest

from srgnn.data import SessionData
from srgnn.nn import SRGNNSettings
from srgnn.training.optimizer import OptimizerSettings
from srgnn.training.run import Run

pytest.importorskip("optuna")
study = pytest.importorskip("srgnn.search.study")
validation = pytest.importorskip("srgnn.search.training").validation
Choices = pytest.importorskip("srgnn.search.space").Choices


def search(folder: Path, data: SessionData, lr: float, storage: str) -> float:
    """The value of the only trial of a study with one rate."""

    def build_run(parameters, folder: Path) -> Run:
        trainer = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}
        optimizer = OptimizerSettings(lr=parameters["lr"])
        model = SRGNNSettings(hidden_size=8)
        return Run(folder, model, max_epochs=2, optimizer=optimizer, trainer=trainer, config={"lr": parameters["lr"]})

    folder.mkdir(exist_ok=True)
    url = f"sqlite:///{folder}/{storage}.db"
    opened = study.Study(study.SearchSettings(folder, {"lr": Choices([lr])}, 1, storage=url))
    opened.optimize(validation(data, build_run, lambda folder: None), lambda record: None)
    return opened.records()[0].value


def test_a_checkpoint_of_another_study_is_not_continued(small: SessionData, tmp_path: Path):
    expected = search(tmp_path / "alone", small, 1e-2, "a")
    search(tmp_path / "shared", small, 1e-3, "a")
    assert (tmp_path / "shared" / "0" / "last.ckpt").is_file()
    assert search(tmp_path / "shared", small, 1e-2, "b") == expected
