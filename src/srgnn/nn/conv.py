from typing import Any

import torch
from torch import Tensor
from torch.nn import GRUCell, Linear, Parameter
from torch_geometric.index import index2ptr
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.utils import segment

from srgnn.errors import check_choice, check_int

EDGE_WEIGHTS = ["binary", "occurrence"]
Edges = tuple[Tensor, Tensor, Tensor]


class SessionGraphConv(MessagePassing):  # type: ignore[misc]  # PyG has no types
    r"""Gated propagation along and against the clicks (Wu et al., 2019, eqs. 1-5).

    .. math::
        \mathbf{a}_i &= \big[ \textstyle\sum_{j \to i} \bar w_{ji} (\mathbf{W}_{in} \mathbf{h}_j + \mathbf{c}_{in})
        + \mathbf{b}_{in} \,\|\,
        \sum_{i \to j} \bar w_{ij} (\mathbf{W}_{out} \mathbf{h}_j + \mathbf{c}_{out}) + \mathbf{b}_{out} \big]

        \mathbf{h}_i' &= \mathrm{GRU}(\mathbf{a}_i, \mathbf{h}_i)

    where the weights :math:`\bar w` of the edges into (out of) a node sum to one: an average over the neighbours.

    Args:
        hidden_size: Width :math:`d` of the node states.
        propagation_steps: Number of message passing steps; 0 returns `x` unchanged.
        edge_weight: `binary` averages over distinct neighbours, as in the authors' code; `occurrence` weights them by
            how often the pair was clicked, as in the paper.

    Shapes:
        x [num_nodes, d], edge_index [2, num_edges], edge_weight [num_edges] -> [num_nodes, d]

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    def __init__(self, hidden_size: int, propagation_steps: int = 1, edge_weight: str = "binary", **kwargs: Any):
        super().__init__(aggr="sum", **kwargs)
        self.hidden_size = check_int("hidden_size", hidden_size, 1)
        self.propagation_steps = check_int("propagation_steps", propagation_steps, 0)
        self.edge_weight = check_choice("edge_weight", edge_weight, EDGE_WEIGHTS)
        self.lin_in = Linear(hidden_size, hidden_size)
        self.lin_out = Linear(hidden_size, hidden_size)
        self.bias_in = Parameter(torch.zeros(hidden_size))
        self.bias_out = Parameter(torch.zeros(hidden_size))
        self.gru = GRUCell(2 * hidden_size, hidden_size)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        along, against = self.directions(edge_index, edge_weight, x.size(0))
        for _ in range(self.propagation_steps):
            a_in = self.propagate(along[0], x=self.lin_in(x), weight=along[1], segments=along[2])
            a_out = self.propagate(against[0], x=self.lin_out(x), weight=against[1], segments=against[2])
            a = torch.cat([a_in, a_out], dim=-1) + torch.cat([self.bias_in, self.bias_out])  # [N, 2d]
            x = self.gru(a, x)  # [N, d]
        return x

    def directions(self, edge_index: Tensor, edge_weight: Tensor, num_nodes: int) -> tuple[Edges, Edges]:
        r"""The edges along the clicks and against them, with the weights :math:`\bar w` of their messages.

        Returns:
            For each direction the edges sorted by target [2, num_edges], weights that sum to one per target
            [num_edges], and the pointers of the targets [num_nodes + 1].
        """
        if self.edge_weight == "binary":
            edge_weight = torch.ones_like(edge_weight)
        along = _sort_by_target(edge_index, edge_weight, num_nodes)
        return along, _sort_by_target(edge_index.flip(0), edge_weight, num_nodes)

    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        return weight.view(-1, 1) * x_j

    def aggregate(self, inputs: Tensor, segments: Tensor) -> Tensor:
        # Sorted segments instead of scattered additions: the same result in every run, on every device.
        total: Tensor = segment(inputs, segments, reduce="sum")
        return total

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hidden_size}, propagation_steps={self.propagation_steps})"


def _sort_by_target(edge_index: Tensor, edge_weight: Tensor, num_nodes: int) -> Edges:
    """Edges sorted by target node, weights that sum to one per target, and the pointers of the targets [N + 1]."""
    order = edge_index[1].argsort(stable=True)
    edge_index, edge_weight = edge_index[:, order], edge_weight[order]
    segments = index2ptr(edge_index[1], num_nodes)
    total = segment(edge_weight.view(-1, 1), segments, reduce="sum").view(-1)
    return edge_index, edge_weight / total[edge_index[1]], segments
