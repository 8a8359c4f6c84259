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
    A second set of edges appends two further averages of this kind to :math:`\mathbf{a}_i`, with projections of their
    own and all weights equal.

    Args:
        hidden_size: Width :math:`d` of the node states.
        propagation_steps: Number of message passing steps; 0 returns `x` unchanged.
        edge_weight: `binary` averages over distinct neighbours, as in the authors' code; `occurrence` weights them by
            how often the pair was clicked, as in the paper.
        appended: Whether there is a second set of edges, `appended_index`.

    Shapes:
        x [num_nodes, d], edge_index [2, num_edges], edge_weight [num_edges] -> [num_nodes, d]

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    def __init__(
        self,
        hidden_size: int,
        propagation_steps: int = 1,
        edge_weight: str = "binary",
        appended: bool = False,
        **kwargs: Any,
    ):
        super().__init__(aggr="sum", **kwargs)
        self.hidden_size = check_int("hidden_size", hidden_size, 1)
        self.propagation_steps = check_int("propagation_steps", propagation_steps, 0)
        self.edge_weight = check_choice("edge_weight", edge_weight, EDGE_WEIGHTS)
        self.lin_in = Linear(hidden_size, hidden_size)
        self.lin_out = Linear(hidden_size, hidden_size)
        self.bias_in = Parameter(torch.zeros(hidden_size))
        self.bias_out = Parameter(torch.zeros(hidden_size))
        self.gru = GRUCell((4 if appended else 2) * hidden_size, hidden_size)
        if appended:
            self.lin_appended_in = Linear(hidden_size, hidden_size)
            self.lin_appended_out = Linear(hidden_size, hidden_size)

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor, appended_index: Tensor | None = None
    ) -> Tensor:
        along, against = self.directions(edge_index, edge_weight, x.size(0))
        ways: list[tuple[Linear, Tensor | float, Edges]] = [
            (self.lin_in, self.bias_in, along),
            (self.lin_out, self.bias_out, against),
        ]
        if appended_index is not None:
            along, against = self.directions(appended_index, edge_weight.new_ones(appended_index.size(1)), x.size(0))
            ways += [(self.lin_appended_in, 0.0, along), (self.lin_appended_out, 0.0, against)]
        for _ in range(self.propagation_steps):
            a = [
                self.propagate(index, x=lin(x), weight=weight, segments=segments) + bias  # [N, d]
                for lin, bias, (index, weight, segments) in ways
            ]
            x = self.gru(torch.cat(a, dim=-1), x)  # [N, d]
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
