"""Session graphs whose sizes depend on the numbers of sessions and of clicks only, for programs without Python."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.index import index2ptr


@dataclass(frozen=True)
class PaddedGraphs:
    """A batch of session graphs with the attributes that models read, see :class:`srgnn.data.graphs.SessionGraphs`.

    Every click is a slot for a node, and so is every padding. Slots, edges and clicks that no session needs belong to
    one further session, the last one, which is never empty and means nothing.

    Shapes:
        of B sessions of L clicks at most, with N = B (L + 1): x [N], edge_index [2, B L], edge_weight [B L],
        alias_index [N], batch [N], ptr [B + 2]
    """

    x: Tensor
    edge_index: Tensor
    edge_weight: Tensor
    alias_index: Tensor
    batch: Tensor
    ptr: Tensor
    num_graphs: int
    longest: int

    @classmethod
    def of(cls, items: Tensor) -> "PaddedGraphs":
        """The graphs of sessions of item indices, [B, L], oldest click first; negative entries are skipped."""
        items = items.gather(1, (items < 0).long().argsort(dim=1, stable=True))  # clicks first, then padding
        items = F.pad(items, (0, 1), value=-1)  # so that no size is 1, and the last session is never empty
        num_sessions, longest = items.size(0), items.size(1)
        place, session = torch.arange(longest), torch.arange(num_sessions).view(-1, 1)
        is_click = items >= 0

        # Nodes: the first click of each item in a session.
        same = items.unsqueeze(2) == items.unsqueeze(1)  # [B, L, L]
        first = torch.where(is_click, torch.where(same, place, longest).amin(dim=2), place)  # [B, L]
        owner = torch.where(is_click & (first == place), session, num_sessions).flatten()
        order = owner.argsort(stable=True)
        node = order.argsort().gather(0, (first + session * longest).flatten()).view(num_sessions, longest)
        batch = owner.gather(0, order)

        # Edges: the first click of each pair of consecutive items in a session.
        source, target, follows = node[:, :-1], node[:, 1:], is_click[:, 1:]
        pair = source * (num_sessions * longest) + target
        same = (pair.unsqueeze(2) == pair.unsqueeze(1)) & follows.unsqueeze(1)
        is_edge = follows & (torch.where(same, place[:-1], longest).amin(dim=2) == place[:-1])
        spare = num_sessions * longest - 1  # the last node, which is never a session's
        edge_index = torch.stack([torch.where(is_edge, end, spare).flatten() for end in (source, target)])
        edge_weight = torch.where(is_edge, same.sum(dim=2), 1).flatten().float()

        clicks = torch.where(is_click, session, num_sessions).flatten().argsort(stable=True)
        return cls(
            x=items.clamp(min=0).flatten().gather(0, order),
            edge_index=edge_index,
            edge_weight=edge_weight,
            alias_index=node.flatten().gather(0, clicks),
            batch=batch,
            ptr=index2ptr(batch, num_sessions + 1),
            num_graphs=num_sessions + 1,
            longest=longest,
        )
