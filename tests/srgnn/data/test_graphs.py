import pytest
import torch
from torch.utils.data import DataLoader
from torch_geometric.data import Batch

from srgnn.data import SessionData, Sessions
from srgnn.data.graphs import SessionGraphs, evaluation_batch_size, session_graph


def test_a_session_of_five_clicks_on_paper():
    # 7 -> 3 -> 7 -> 3 -> 5: items 3, 5, 7 are the nodes 0, 1, 2.
    graph = session_graph(torch.tensor([7, 3, 7, 3, 5]))
    assert graph.x.tolist() == [3, 5, 7]
    assert graph.alias_index.tolist() == [2, 0, 2, 0, 1]
    assert graph.edge_index.t().tolist() == [[0, 1], [0, 2], [2, 0]]
    assert graph.edge_weight.tolist() == [1, 1, 2]


def test_one_click_has_no_edges_and_a_repeated_one_has_a_loop():
    assert session_graph(torch.tensor([4])).edge_index.shape == (2, 0)
    assert session_graph(torch.tensor([4, 4])).edge_index.tolist() == [[0], [0]]


def test_prefixes_come_longest_first_with_the_next_click_as_target():
    graphs = SessionGraphs(Sessions.from_lists([[0, 1, 2], [3], [4, 5]]), 6)
    samples = [(graph.x[graph.alias_index].tolist(), graph.y.tolist()) for graph in graphs]
    assert samples == [([0, 1], [2]), ([0], [1]), ([4], [5])]
    assert len(graphs) == 3
    with pytest.raises(IndexError):
        graphs[3]


@pytest.mark.parametrize("size", [1, 2, 64])
@pytest.mark.parametrize("counted", [False, True])  # as on a CPU, and as on a GPU
@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_a_batch_equals_the_one_that_pyg_builds(small: SessionData, size: int, counted: bool, kind: torch.dtype):
    sessions = Sessions(small.train.items.to(kind), small.train.ptr)
    graphs = SessionGraphs(sessions, small.num_items, counted=counted)
    indices = torch.randint(len(graphs), (size,))
    packed, plain = graphs[indices], Batch.from_data_list([graphs[int(i)] for i in indices])
    assert type(packed) is type(plain)
    assert sorted(packed.keys()) == sorted(plain.keys())  # PyG gives them in the order of a set
    for key in plain.keys():  # noqa: SIM118
        assert packed[key].dtype == plain[key].dtype, key
        assert torch.equal(packed[key], plain[key]), key


@pytest.mark.parametrize("size", [1, 2, 64])
def test_pyg_splits_a_batch_by_its_private_attributes(small: SessionData, size: int):
    graphs = SessionGraphs(small.train, small.num_items)
    indices = torch.randint(len(graphs), (size,))
    packed, plain = graphs[indices], Batch.from_data_list([graphs[int(i)] for i in indices])
    assert packed.num_graphs == plain.num_graphs == size
    single = [(packed[i], plain[i]) for i in range(size)]
    for ours, theirs in [*zip(packed.to_data_list(), plain.to_data_list(), strict=True), *single]:
        assert type(ours) is type(theirs)
        assert ours.to_dict().keys() == theirs.to_dict().keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs.to_dict())


def test_a_batch_without_samples_has_no_graphs(small: SessionData):
    for counted in (False, True):
        batch = SessionGraphs(small.train, small.num_items, counted=counted)[[]]
        assert (batch.num_graphs, batch.num_nodes, batch.num_edges) == (0, 0, 0)


def test_samples_are_found_beside_sessions_without_any():
    graphs = SessionGraphs(Sessions.from_lists([[], [1], [2, 3], [], [4], [0, 1, 2], []]), 5)
    assert (graphs.start.tolist(), graphs.length.tolist()) == ([1, 4, 4], [1, 2, 1])
    assert graphs[[0, 1, 2, -1]].y.tolist() == [*graphs[:].y.tolist(), 1] == [3, 2, 1, 1]
    for outside in (3, -4):
        with pytest.raises(IndexError):
            graphs[[outside]]


def test_the_sizes_of_every_prefix_are_known_before_its_batch(small: SessionData):
    graphs = SessionGraphs(small.train, small.num_items, counted=True)
    sizes = [[graph.alias_index.numel(), graph.num_nodes, graph.num_edges] for graph in graphs]
    assert graphs.sizes.tolist() == sizes
    assert SessionGraphs(small.train, small.num_items).sizes is None  # on a CPU nothing is kept per prefix
    assert graphs.targets.tolist() == [graph.y.item() for graph in graphs]


def test_a_data_loader_gets_whole_batches(small: SessionData):
    graphs = SessionGraphs(small.train, small.num_items)
    batches = list(DataLoader(graphs, batch_size=50, collate_fn=lambda batch: batch))
    assert torch.equal(torch.cat([batch.y for batch in batches]), graphs[:].y)


def test_the_scores_of_an_evaluation_batch_are_bounded():
    assert evaluation_batch_size(100) == 512
    assert evaluation_batch_size(43_097) * 43_097 <= 2**22
    assert evaluation_batch_size(10_000_000) == 8
    assert evaluation_batch_size(10_000_000, holds_scores=False) == 512
