"""Batches of sessions that fit on paper."""

from torch_geometric.data import Batch

from srgnn.data import Sessions
from srgnn.data.graphs import SessionGraphs


def prefixes(*sessions: list[int], num_items: int = 20) -> Batch:
    """A batch of whole sessions as prefixes, each with item 0 as its target."""
    graphs = SessionGraphs(Sessions.from_lists([[*clicks, 0] for clicks in sessions]), num_items)
    return graphs[graphs.first[:-1]]  # the longest prefix of each session
