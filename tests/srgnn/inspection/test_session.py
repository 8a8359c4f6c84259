import polars as pl
import pytest
import torch
from torch_geometric.data import Batch

from srgnn.baselines import MarkovChain
from srgnn.data import SessionData, Sessions, Vocabulary
from srgnn.data.graphs import session_graph
from srgnn.errors import ArgumentError, UserError
from srgnn.inspection.session import inspect_session, leave_one_out, without_propagation
from srgnn.nn import SRGNNSettings
from srgnn.recommender import Recommender

IDS = ["D", "C", "B", "A"]  # the items in an order of their own: nodes are sorted by item, not by click
SESSION = ["A", "B", "A", "C", "B"]


def recommender(**settings) -> Recommender:
    return Recommender(SRGNNSettings(hidden_size=4, **settings).build(4), Vocabulary(IDS))


def test_the_weights_of_messages_are_those_of_a_graph_drawn_by_hand():
    edges = inspect_session(recommender(), SESSION).edges
    a, b, c = 0, 1, 2
    assert edges.select("source", "target", "times").rows() == [(a, b, 1), (b, a, 1), (a, c, 1), (c, b, 1)]
    assert edges["along"].to_list() == [0.5, 1, 1, 0.5]  # B averages over A and C
    assert edges["against"].to_list() == [0.5, 1, 0.5, 1]  # A averages over B and C


def test_weights_follow_how_often_a_pair_was_clicked_if_the_model_does():
    edges = inspect_session(recommender(edge_weight="occurrence"), ["A", "B", "A", "B", "A", "C"]).edges
    assert edges["times"].to_list() == [2, 2, 1]
    assert edges["against"].to_list() == pytest.approx([2 / 3, 1, 1 / 3])


def test_weights_are_counts_of_training_in_a_model_with_global_connections():
    one = recommender(connections="global")
    one.model.observe(Sessions.from_lists([[3, 2], [3, 2], [3, 2], [0, 3]]))  # A -> B three times
    edges = inspect_session(one, SESSION).edges
    assert edges["times"].to_list() == [1, 1, 1, 1]
    assert edges["along"].to_list() == [0.75, 1, 1, 0.25]
    assert edges["against"].to_list() == [0.75, 1, 0.25, 1]


@pytest.mark.parametrize("connections", ["session", "global", "full"])
def test_every_kind_of_connections_can_be_left_out(connections: str):
    one = recommender(connections=connections)
    one.model.observe(Sessions.from_lists([[3, 2, 0], [0, 3]]))
    bare = without_propagation(one)
    assert bare.recommend(SESSION, 4).probabilities != one.recommend(SESSION, 4).probabilities
    assert inspect_session(bare, SESSION).nodes["moved"].to_list() == [0, 0, 0]


def test_attention_is_that_of_the_equation_for_every_click_and_adds_up_for_every_item():
    one = recommender()
    found = inspect_session(one, SESSION)
    batch = Batch.from_data_list([session_graph(torch.tensor([3, 2, 3, 1, 2]))])
    layer = one.model.readout
    states = one.model.conv(one.model.item_embedding(batch.x), batch.edge_index, batch.edge_weight)
    clicks = states[batch.alias_index]
    weights = layer.query(torch.sigmoid(layer.lin_last(clicks[-1]) + layer.lin_click(clicks))).flatten().tolist()
    assert found.clicks["item"].to_list() == SESSION
    assert found.clicks["attention"].to_list() == pytest.approx(weights, abs=1e-6)
    assert found.nodes["item"].to_list() == ["A", "B", "C"]
    assert found.nodes["clicks"].to_list() == [2, 2, 1]
    sums = [weights[0] + weights[2], weights[1] + weights[4], weights[3]]
    assert found.nodes["attention"].to_list() == pytest.approx(sums, abs=1e-6)


def test_states_move_by_propagation_only():
    nodes = inspect_session(recommender(), SESSION).nodes
    assert (nodes["moved"] > 0.01).all()
    assert (nodes["cosine"] < 0.999).all()
    still = inspect_session(recommender(propagation_steps=0), SESSION).nodes
    assert still["moved"].to_list() == [0, 0, 0]
    assert still["cosine"].to_list() == pytest.approx([1, 1, 1])


def test_the_distance_and_the_cosine_are_those_of_the_states_before_and_after():
    one = recommender()
    before = one.model.item_embedding.weight.detach()[[3, 2]]
    one.model.node_states = lambda states, batch: 2 * states * torch.tensor([1, -1])[batch.x - 2, None]
    nodes = inspect_session(one, ["A", "B"]).nodes
    assert before.shape == (2, 4)
    assert nodes["cosine"].to_list() == pytest.approx([-1, 1])
    assert nodes["moved"].to_list() == pytest.approx([3, 1])


@pytest.mark.parametrize("readout", ["local", "average"])
def test_a_readout_without_attention_has_none(readout: str):
    found = inspect_session(recommender(readout=readout), SESSION)
    assert found.clicks["attention"].null_count() == 5
    assert found.nodes["attention"].null_count() == 3


def test_a_session_of_one_click_has_no_edges_and_unknown_ids_are_left_out():
    found = inspect_session(recommender(), ["x", "B"])
    assert found.clicks["item"].to_list() == ["B"]
    assert found.edges.is_empty()


def test_without_propagation_the_weights_are_shared_and_only_the_graph_is_unused():
    one = recommender(scale=12.0)
    before = torch.random.get_rng_state()
    bare = without_propagation(one)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert bare.model.item_embedding.weight.data_ptr() == one.model.item_embedding.weight.data_ptr()
    assert bare.recommend(SESSION, 4).probabilities != one.recommend(SESSION, 4).probabilities
    one.model.node_states = lambda states, batch: states
    assert bare.recommend(SESSION, 4) == one.recommend(SESSION, 4)


def test_other_models_are_refused(small: SessionData):
    chain = Recommender(MarkovChain(small.num_items), small.vocabulary)
    for function in (without_propagation, lambda one: inspect_session(one, small.vocabulary.ids[:2])):
        with pytest.raises(UserError, match="The model is MarkovChain: attention and propagation"):
            function(chain)


def test_a_click_left_out_of_a_chain_matters_only_if_it_is_the_last():
    train = Sessions.from_lists([[0, 1], [0, 1], [0, 2], [3, 2], [3, 2]])
    chain = MarkovChain(4)
    chain.observe(train)
    found = leave_one_out(Recommender(chain, Vocabulary(["a", "b", "c", "d"])), ["a", "d", "a"], "b")
    assert found.select("step", "item").rows() == [(None, None), (1, "a"), (2, "d"), (3, "a")]
    assert found["rank"].to_list() == [1, 1, 1, 4]  # after d, only c has ever been clicked, and b is least popular
    assert found["rank_change"].to_list() == [0, 0, 0, 3]
    assert found["probability"][0] > 0.5
    assert found["probability"][3] == 0
    assert found["probability_change"].to_list() == pytest.approx([0, 0, 0, -found["probability"][0]])


def test_a_click_left_out_gives_what_is_recommended_without_it():
    one = recommender(scale=12.0)
    found = leave_one_out(one, ["A", "x", "B", "C"], "D")
    for row, session in enumerate((["A", "B", "C"], ["B", "C"], ["A", "C"], ["A", "B"])):
        best = one.recommend(session, 4)
        assert found["rank"][row] == 1 + best.items.index("D")
        assert found["probability"][row] == pytest.approx(best.probabilities[best.items.index("D")], rel=1e-5)
    assert found.schema["step"] == pl.Int64


def test_too_short_sessions_and_unknown_targets_are_reported():
    with pytest.raises(ArgumentError, match=r"session=\['A', 'x'\]: expected at least two known ids"):
        leave_one_out(recommender(), ["A", "x"], "B")
    with pytest.raises(ArgumentError, match="target=x: expected an id of the vocabulary, such as D"):
        leave_one_out(recommender(), ["A", "B"], "x")
