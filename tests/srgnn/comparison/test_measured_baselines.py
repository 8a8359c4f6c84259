from pathlib import Path
from typing import Any

import pytest
import torch

from srgnn.comparison.baselines import measure_baselines
from srgnn.data import SessionData
from srgnn.evaluation import Measurement, measure


def test_the_baselines_are_measured_under_their_names(small: SessionData):
    tests = measure_baselines(small, [5])
    names = ["Popularity", "S-POP", "Markov chain", "Association rules", "Item-KNN", "V-SKNN", "STAN", "VMIS-kNN"]
    assert list(tests) == names
    successor, popularity = tests["Markov chain"].metrics, tests["Popularity"].metrics
    assert successor["recall@5"] > popularity["recall@5"] > 0
    assert popularity["coverage@5"] == 5 / small.num_items
    assert successor["popularity@5"] < popularity["popularity@5"]
    assert successor["novelty@5"] > popularity["novelty@5"]


@pytest.mark.parametrize("limit", ["MOST_PAIRS", "MOST_CLICKS", "MOST_ITEMS"])
def test_only_cheap_baselines_are_shown_for_large_logs(small: SessionData, limit: str, monkeypatch):
    monkeypatch.setattr(f"srgnn.comparison.baselines.{limit}", 50)
    assert list(measure_baselines(small, [5])) == ["Popularity", "S-POP", "Markov chain"]


def test_measured_baselines_are_kept_with_the_prepared_data(small: SessionData, tmp_path: Path, monkeypatch):
    data, names = small.save(tmp_path / "prepared"), ["S-POP", "Markov chain"]
    measured = []

    def observed(*arguments: Any) -> Measurement:
        measured.append(arguments[-1])
        return measure(*arguments)

    monkeypatch.setattr("srgnn.comparison.baselines.measure", observed)
    first = measure_baselines(data, [5], names)
    again = measure_baselines(SessionData.load(tmp_path / "prepared"), [5], names)
    assert measured == names
    for name in names:
        assert again[name].metrics == first[name].metrics
        assert again[name].by_length == first[name].by_length
        assert torch.equal(again[name].ranks, first[name].ranks)

    measure_baselines(data, [5, 10], names)  # other cut-offs
    assert measured == [*names, *names]
    for file in (tmp_path / "prepared" / "baselines").iterdir():
        file.write_bytes(file.read_bytes()[:100])  # damaged
    assert measure_baselines(data, [5], names)["S-POP"].metrics == first["S-POP"].metrics
