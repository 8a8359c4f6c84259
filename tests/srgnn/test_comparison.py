from srgnn.comparison import evaluate_baselines
from srgnn.data import SessionData


def test_the_baselines_are_measured_under_their_names(small: SessionData):
    table = evaluate_baselines(small, [5])
    assert list(table) == ["Popularity", "Last-item successor"]
    assert table["Last-item successor"]["recall@5"] > table["Popularity"]["recall@5"] > 0
