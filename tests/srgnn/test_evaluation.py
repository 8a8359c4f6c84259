import pytest
import torch
from torch_geometric.data import Batch

from srgnn.data import SessionData
from srgnn.data.graphs import SessionGraphs
from srgnn.data.sessions import Sessions
from srgnn.errors import UserError
from srgnn.evaluation import evaluate, measure, rank, rank_table
from srgnn.metrics import metrics_by_clicks, rank_metrics, recommendation_metrics, target_ranks
from srgnn.nn import SRGNNSettings


class Table:
    """A model that returns given scores [P, V] in the order of the prefixes; `calls` counts the batches."""

    def __init__(self, scores: torch.Tensor):
        self.scores, self.calls, self.first = scores, 0, 0

    def __call__(self, batch: Batch) -> torch.Tensor:
        rows = self.scores[self.first : self.first + batch.num_graphs]
        self.calls, self.first = self.calls + 1, self.first + batch.num_graphs
        return rows


@pytest.fixture
def graphs(small: SessionData) -> SessionGraphs:
    return SessionGraphs(small.test, small.num_items)


def test_more_best_items_than_there_are_give_one_sentence(graphs: SessionGraphs):
    with pytest.raises(UserError, match=f"^top={graphs.num_items + 1}: expected an integer from 0 to"):
        rank(Table(torch.randn(len(graphs), graphs.num_items)), graphs, top=graphs.num_items + 1)


def test_no_prefix_at_all_gives_one_sentence():
    for test in (measure, lambda model, graphs, *others: evaluate(model, graphs, [5])):
        with pytest.raises(UserError, match="no prefix to test: every session needs two clicks"):
            test(Table(torch.randn(2, 5)), SessionGraphs(Sessions.from_lists([[0], [1]]), 5), torch.ones(5), [5])


def test_ranks_and_best_items_come_from_one_pass_over_the_scores(graphs: SessionGraphs, monkeypatch):
    monkeypatch.setattr("srgnn.evaluation.evaluation_batch_size", lambda num_items, device, holds_scores: 40)
    scores = torch.randn(len(graphs), graphs.num_items)
    model = Table(scores)
    ranking = rank(model, graphs, top=5)
    assert model.calls == -(-len(graphs) // 40)
    assert torch.equal(ranking.ranks, target_ranks(scores, graphs.targets))
    assert torch.equal(ranking.scores, scores.topk(5).values)
    assert torch.equal(ranking.scores, scores.gather(1, ranking.items))
    hit = (ranking.items == graphs.targets.view(-1, 1)).any(dim=1)
    assert torch.equal(hit, ranking.ranks <= 5)
    assert rank(Table(scores), graphs).items.shape == (len(graphs), 0)


def test_evaluate_measures_anything_that_scores(graphs: SessionGraphs):
    scores = torch.randn(len(graphs), graphs.num_items)
    expected = rank_metrics(target_ranks(scores, graphs.targets), [1, 20])
    assert evaluate(Table(scores), graphs, [1, 20]) == expected
    assert evaluate(lambda batch: torch.zeros(batch.num_graphs, graphs.num_items), graphs, [5])["recall@5"] == 0


def test_a_measurement_holds_all_metrics_overall_by_length_and_by_clicks(
    small: SessionData, graphs: SessionGraphs, monkeypatch
):
    monkeypatch.setattr("srgnn.evaluation.evaluation_batch_size", lambda num_items, device, holds_scores: 40)
    scores = torch.randn(len(graphs), graphs.num_items)
    found = measure(Table(scores), graphs, small.train_clicks, [1, 5])
    best = scores.topk(5).indices
    parts = {
        "1": graphs.length == 1,
        "6-10": (graphs.length >= 6) & (graphs.length <= 10),
        "1-5": graphs.length <= 5,
        "6+": graphs.length >= 6,
    }
    for name, chosen in parts.items():
        recommended = best[chosen].flatten().bincount(minlength=graphs.num_items)
        assert found.by_length[name] == pytest.approx(
            {
                "prefixes": int(chosen.sum()),
                **rank_metrics(target_ranks(scores, graphs.targets)[chosen], [1, 5]),
                **recommendation_metrics(recommended, small.train_clicks, 5),
            }
        )
    clicks = small.train_clicks[graphs.targets]
    assert sum(each["prefixes"] for each in found.by_clicks.values()) == len(graphs)
    assert found.by_clicks == metrics_by_clicks(found.ranks, clicks, graphs.num_items, [1, 5])
    recommended = best.flatten().bincount(minlength=graphs.num_items)
    assert found.metrics == pytest.approx(
        evaluate(Table(scores), graphs, [1, 5]) | recommendation_metrics(recommended, small.train_clicks, 5)
    )


@pytest.mark.parametrize("scale", [None, 12.0])
def test_a_network_is_ranked_without_its_scores_as_with_them(graphs: SessionGraphs, scale: float | None):
    model = SRGNNSettings(16, scale=scale).build(graphs.num_items).eval()
    found, plain = rank(model, graphs, top=5), rank(lambda batch: model(batch), graphs, top=5)
    assert torch.equal(found.ranks, plain.ranks)
    torch.testing.assert_close(found.scores, plain.scores)
    model.item_embedding.weight.data[3] = torch.nan
    with pytest.raises(UserError, match="scores that are not finite numbers"):
        rank(model, graphs)


def test_a_network_is_ranked_in_full_precision(graphs: SessionGraphs):
    model = SRGNNSettings(16).build(graphs.num_items).eval()
    plain = rank(model, graphs)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(rank(model, graphs).ranks, plain.ranks)


def test_the_table_of_ranks_names_session_length_and_target_of_every_prefix():
    graphs = SessionGraphs(Sessions.from_lists([[0, 1, 2], [2, 0]]), 3)
    table = rank_table(graphs, {"A": torch.tensor([1, 2, 3]), "B": torch.tensor([3, 2, 1])})
    assert table.rows() == [(0, 2, 2, 1, 3), (0, 1, 1, 2, 2), (1, 1, 0, 3, 1)]
    assert table.columns == ["session", "clicks", "target", "A", "B"]
