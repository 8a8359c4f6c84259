from srgnn.comparison.baselines import measure_baselines
from srgnn.data import SessionData


def test_the_baselines_are_measured_under_their_names(small: SessionData):
    tests = measure_baselines(small, [5])
    names = ["Popularity", "S-POP", "Markov chain", "Association rules", "Item-KNN", "V-SKNN", "STAN", "VMIS-kNN"]
    assert list(tests) == names
    successor, popularity = tests["Markov chain"].metrics, tests["Popularity"].metrics
    assert successor["recall@5"] > popularity["recall@5"] > 0
    assert popularity["coverage@5"] == 5 / small.num_items
    assert successor["popularity@5"] < popularity["popularity@5"]
    assert successor["novelty@5"] > popularity["novelty@5"]
