from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Embedding, Linear, Module
from torch_geometric.data import Batch
from torch_geometric.index import index2ptr

from srgnn.errors import ArgumentError, check_float, check_int
from srgnn.nn.clicks import Clicks
from srgnn.nn.counts import Counts, count_near
from srgnn.nn.encoder import EncoderSettings, SessionEncoder
from srgnn.nn.segments import attend, descending

if TYPE_CHECKING:
    from srgnn.data.sessions import Sessions

SLOPE = 0.2  # of the leaky ReLU below zero, as in the authors' code
EDGE_TYPES = ["in", "out", "in-out", "self"]
IN, OUT, BOTH, SELF = range(4)


@dataclass(frozen=True)
class GCEGNNSettings(EncoderSettings):
    """The arguments of :class:`GCEGNN`, beside those of every encoder.

    Args:
        distance: Largest number of clicks between neighbours in the global graph.
        neighbors: Number of neighbours of an item in the global graph, those of the largest weights.
        global_dropout: Share of the entries of the states from the global graph that are dropped, in training only.
        reversed_positions: Number of learned vectors for the distance of a click from the last one; clicks further away
            share the last vector.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    distance: int = 3
    neighbors: int = 12
    global_dropout: float = 0.5
    reversed_positions: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("distance", self.distance, 1)
        check_int("neighbors", self.neighbors, 1)
        if check_float("global_dropout", self.global_dropout, 0) >= 1:
            raise ArgumentError("global_dropout", self.global_dropout, "a share below 1")
        check_int("reversed_positions", self.reversed_positions, 1)

    def build(self, num_items: int) -> "GCEGNN":
        """Returns a model with freshly initialised weights, whose items have no neighbours yet."""
        return GCEGNN(num_items, self)


class GlobalGraph(Counts):
    r"""The items that are clicked most often near an item in the training sessions, which is all that it sees.

    The weight of two items is how often they are at most :math:`\varepsilon` clicks apart, in either order; an item
    clicked again so soon is its own neighbour. Equal weights are in the order of the items.

    Args:
        num_items: Number of items :math:`V`.
        distance: The largest number of clicks :math:`\varepsilon`.
        neighbors: Number of neighbours :math:`K` of an item.
    """

    neighbor: Tensor  # [V, K] any item where there are fewer; before they are counted, [V, 0]
    weight: Tensor  # [V, K] 0 where there are fewer

    def __init__(self, num_items: int, distance: int, neighbors: int):
        super().__init__("neighbor", "weight")
        self.num_items, self.distance, self.neighbors = num_items, distance, neighbors
        self.neighbor = torch.zeros(num_items, 0, dtype=torch.long)
        self.weight = torch.zeros(num_items, 0)

    def observe(self, train: "Sessions") -> None:
        item, neighbor, count = count_near(train, self.num_items, self.distance)
        order, place = descending(item, count)
        order, place = order[place < self.neighbors], place[place < self.neighbors]
        self.neighbor = torch.zeros(self.num_items, self.neighbors, dtype=torch.long)
        self.weight = torch.zeros(self.num_items, self.neighbors)
        self.neighbor[item[order], place] = neighbor[order]
        self.weight[item[order], place] = count[order].float()


class GlobalAttention(Module):
    r"""States of nodes from their neighbours in the global graph, as the session sees them (eqs. 3 to 7).

    With :math:`\bar{\mathbf{v}}` the mean of the clicked items of the session and :math:`w_{ij}` the weights:

    .. math::
        \pi_{ij} &= \mathrm{softmax}_j\big(\mathbf{q}^\top \mathrm{LeakyReLU}(\mathbf{W}_1
        [\bar{\mathbf{v}} \odot \mathbf{v}_j \,\|\, w_{ij}])\big)

        \mathbf{h}^g_i &= \mathrm{ReLU}\big(
        \mathbf{W}_2 [\mathbf{v}_i \,\|\, \textstyle\sum_j \pi_{ij} \mathbf{v}_j]\big)

    The sum is zero for an item without neighbours.

    Shapes:
        nodes [N, d], neighbors [N, K, d], weight [N, K], of_session [N, d] -> [N, d]
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        self.lin_neighbor = Linear(hidden_size + 1, hidden_size, bias=False)
        self.query = Linear(hidden_size, 1, bias=False)
        self.lin_join = Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(self, nodes: Tensor, neighbors: Tensor, weight: Tensor, of_session: Tensor) -> Tensor:
        seen = torch.cat([of_session.unsqueeze(1) * neighbors, weight.unsqueeze(2)], dim=2)  # [N, K, d + 1]
        logits = self.query(F.leaky_relu(self.lin_neighbor(seen), SLOPE)).squeeze(2)  # [N, K]
        is_neighbor = weight > 0
        pi = logits.masked_fill(~is_neighbor, torch.finfo(logits.dtype).min).softmax(dim=1) * is_neighbor
        mean = (pi.unsqueeze(2) * neighbors).sum(dim=1)  # [N, d]
        return F.relu(self.lin_join(torch.cat([nodes, mean], dim=1)))


class SessionAttention(Module):
    r"""States of nodes from their neighbours in the session graph, by the type of the edge (eqs. 8 to 10).

    .. math::
        \mathbf{h}^s_i = \textstyle\sum_j \mathrm{softmax}_j\big(
        \mathrm{LeakyReLU}(\mathbf{a}_{r_{ij}}^\top (\mathbf{v}_i \odot \mathbf{v}_j))\big) \mathbf{v}_j

    where the type :math:`r_{ij}` says whether :math:`j` is clicked before :math:`i` (in), after it (out), both, or is
    the same node.

    Shapes:
        nodes [N, d], edge_index [2, num_edges] -> [N, d]
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        self.edge_type = Linear(hidden_size, len(EDGE_TYPES), bias=False)

    def forward(self, nodes: Tensor, edge_index: Tensor) -> Tensor:
        center, neighbor, kind = typed_edges(edge_index, nodes.size(0))
        products = self.edge_type(nodes.index_select(0, center) * nodes.index_select(0, neighbor))  # [E, 4]
        logits = F.leaky_relu(products.gather(1, kind.view(-1, 1)), SLOPE)  # [E, 1]
        return attend(logits, nodes.index_select(0, neighbor), center, index2ptr(center, nodes.size(0)))


class GCEGNN(SessionEncoder):
    r"""Global context enhanced graph neural network (GCE-GNN; Wang et al., SIGIR 2020).

    The states of the nodes are the sums of those from the global graph, :class:`GlobalAttention`, and from the session
    graph, :class:`SessionAttention`. With :math:`\mathbf{h}_i` those of the clicks, :math:`\bar{\mathbf{h}}` their mean
    and :math:`\mathbf{p}` the vector for the distance from the last click, a session of :math:`l` clicks is (eqs. 12 to
    16)

    .. math::
        \mathbf{z}_i = \tanh(\mathbf{W}_3 [\mathbf{p}_{l-i} \,\|\, \mathbf{h}_i]), \qquad
        \mathbf{s} = \textstyle\sum_i \mathbf{q}^\top
        \sigma(\mathbf{W}_4 \mathbf{z}_i + \mathbf{W}_5 \bar{\mathbf{h}} + \mathbf{c}) \, \mathbf{h}_i

    As in the authors' code, :math:`\mathbf{W}_3` has no bias. The code fills up an item's neighbours with copies of
    them; here there are fewer, and they weigh the same. Its neighbours are one step away on all data sets; the code
    takes two steps on Diginetica, which look up 12 times as many embeddings, and drops entries within the layers there.

    Shapes:
        a batch of B session graphs -> scores [B, V], before the softmax
    """

    def __init__(self, num_items: int, settings: GCEGNNSettings | None = None):
        settings = settings or GCEGNNSettings()
        super().__init__(num_items, settings)
        size = settings.hidden_size
        self.global_dropout = settings.global_dropout
        self.graph = GlobalGraph(num_items, settings.distance, settings.neighbors)
        self.from_global = GlobalAttention(size)
        self.from_session = SessionAttention(size)
        self.position = Embedding(settings.reversed_positions, size)
        self.lin_position = Linear(2 * size, size, bias=False)
        self.lin_click = Linear(size, size)
        self.lin_mean = Linear(size, size, bias=False)
        self.query = Linear(size, 1, bias=False)
        self.reset_parameters()

    def observe(self, train: "Sessions") -> None:
        """Counts the neighbours of all items in the training sessions."""
        self.graph.observe(train)

    def looked_up(self, batch: Batch) -> Tensor:
        """The nodes of the session graphs, then the neighbours of the first node, of the second ..., [N + N * K]."""
        return torch.cat([batch.x, self.graph.neighbor[batch.x].flatten()])

    def encode(self, states: Tensor, batch: Batch) -> Tensor:
        num_nodes = batch.x.size(0)
        nodes, neighbors = states[:num_nodes], states[num_nodes:].view(num_nodes, -1, states.size(1))
        clicked = Clicks.of(nodes, batch)
        of_session = clicked.reduce(clicked.state, "mean").index_select(0, batch.batch)  # [N, d]
        of_global = self.from_global(nodes, neighbors, self.graph.weight[batch.x], of_session)  # [N, d]
        of_global = F.dropout(of_global, self.global_dropout, self.training)
        clicks = Clicks.of(self.from_session(nodes, batch.edge_index) + of_global, batch)

        position = self.position(clicks.distance.clamp(max=self.position.num_embeddings - 1))  # [L, d]
        placed = torch.tanh(self.lin_position(torch.cat([position, clicks.state], dim=1)))  # [L, d]
        mean = self.lin_mean(clicks.reduce(clicks.state, "mean"))  # [B, d]
        beta = clicks.additive_attention(self.query, self.lin_click(placed), mean)  # [L, 1]
        return clicks.reduce(beta * clicks.state)  # [B, d]


def typed_edges(edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor, Tensor]:
    """The neighbours of every node in its session graph, with the type of the edge, an index of :data:`EDGE_TYPES`.

    Args:
        edge_index: Edges from click to next click, distinct, [2, num_edges].
        num_nodes: Number of nodes.

    Returns:
        node [n], ascending; neighbour [n]; type [n]. Every node has each neighbour once, and itself.
    """
    source, target = edge_index[:, edge_index[0] != edge_index[1]]
    is_both = torch.isin(target * num_nodes + source, source * num_nodes + target)
    only = ~is_both
    itself = torch.arange(num_nodes, device=edge_index.device)
    center = torch.cat([itself, source, target[only]])
    neighbor = torch.cat([itself, target, source[only]])
    kind = torch.cat(
        [torch.full_like(itself, SELF), torch.where(is_both, BOTH, OUT), torch.full_like(target[only], IN)]
    )
    order = center.argsort(stable=True)
    return center[order], neighbor[order], kind[order]
