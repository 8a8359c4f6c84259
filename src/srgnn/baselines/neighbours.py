"""The base of the session-based nearest-neighbour methods, which differ in their weights."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.index import index2ptr, ptr2index
from torch_geometric.utils import segment

from srgnn.baselines.counted import Candidates, CountedModel, CountedSettings
from srgnn.baselines.sparse import LATEST, SessionItems, grouped, parts, rows_of, sums_by
from srgnn.data.sessions import Sessions, pointers
from srgnn.errors import check_int
from srgnn.nn.clicks import Clicks
from srgnn.nn.segments import to_end


@dataclass(frozen=True)
class NeighbourSettings(CountedSettings):
    """The arguments of every :class:`SessionNeighbours`; those of one method follow in its own settings.

    Args:
        k: Number of neighbours :math:`k`.
        sample_size: Number :math:`m` of the most recent training sessions with an item of the session, of which the
            neighbours are the most similar.

    Raises:
        ArgumentError: for a value that is not allowed.
    """

    k: int
    sample_size: int

    def __post_init__(self) -> None:
        check_int("k", self.k, 1)
        check_int("sample_size", self.sample_size, 1)


@dataclass(frozen=True)
class Neighbours:
    """Training sessions that share an item with a prefix, by prefix and oldest first.

    Shapes:
        all [n]

    Args:
        prefix: The number of the prefix.
        session: The training session.
        similarity: The sum of the weights of the shared items; in the end, the similarity.
        distance: Number of clicks from the prefix's last click on a shared item to its end.
        anchor: The place of the last click on a shared item in the training session.
    """

    prefix: Tensor
    session: Tensor
    similarity: Tensor
    distance: Tensor
    anchor: Tensor

    def where(self, condition: Tensor) -> "Neighbours":
        """Those that meet a condition, [n]."""
        index = condition.nonzero().view(-1)
        return self if len(index) == len(condition) else Neighbours(*(part[index] for part in vars(self).values()))


class SessionNeighbours(CountedModel):
    r"""Scores items by the training sessions :math:`n` that are most similar to the session :math:`s`.

    .. math::
        \mathrm{sim}(s, n) = b_{sn} \sum_{i \in s \cap n} w_s(i), \qquad
        \mathrm{score}(i) = \sum_{n \in N_k(s):\, i \in n} \mathrm{sim}(s, n)\, c_{sn}\, d_{sn}(i)

    :math:`N_k(s)` are the :math:`k` most similar ones of the sample: the :math:`m` most recent training sessions with
    an item of :math:`s`. Of equally similar ones, the most recent count. The published sets have no times, but their
    sessions are in order of time: recency goes by that order. A repeated item counts at its last click. Of a session,
    the latest :data:`~srgnn.baselines.sparse.LATEST` clicks count. A method is its weights :math:`w`
    (:meth:`click_weight`), :math:`b` (:meth:`similarity`), :math:`c` (:meth:`neighbour_weight`) and :math:`d`
    (:meth:`item_weight`).

    Args:
        num_items: Number of items :math:`V`.
        settings: :math:`k` and :math:`m`.
        names: Names of further buffers that the method counts.
    """

    item_ptr: Tensor  # [V + 1]
    session: Tensor  # the most recent sessions of an item, oldest first
    last: Tensor  # the place of the item's last click in each
    ptr: Tensor  # [S + 1]
    item: Tensor  # the distinct items of a session
    position: Tensor  # the places of their last clicks

    def __init__(self, num_items: int, settings: NeighbourSettings, *names: str):
        super().__init__(num_items, "item_ptr", "session", "last", "ptr", "item", "position", *names)
        self.settings = settings

    def observe(self, train: Sessions) -> None:
        super().observe(train)
        of = SessionItems.of(train, self.num_items)
        item = ptr2index(of.item_ptr)
        # No sample reaches beyond the m most recent sessions of an item.
        recent = to_end(item, of.item_ptr) < self.settings.sample_size
        self.item_ptr = index2ptr(item[recent], self.num_items)
        self.session, self.last = of.session[recent], of.position[of.entry[recent]].float()
        self.ptr, self.item, self.position = of.ptr, of.item, of.position.float()

    def click_weight(self, distance: Tensor, length: Tensor) -> Tensor:
        """The weight of an item whose last click is `distance` clicks before the end of a session of `length`."""
        raise NotImplementedError

    def similarity(self, found: Neighbours) -> Tensor:
        """The similarities, not negative, from the sums of the weights of the shared items."""
        return found.similarity

    def neighbour_weight(self, found: Neighbours) -> Tensor:
        """The weights of neighbours beside their similarities."""
        raise NotImplementedError

    def item_weight(self, found: Neighbours, neighbour: Tensor, entry: Tensor) -> Tensor:
        """The weights of the neighbours' items: `neighbour` is the place in `found`, `entry` that in `item`."""
        raise NotImplementedError

    def candidates(self, batch: Batch) -> Candidates:
        # The distinct items of each prefix in the order of their last clicks: the last match is the most recent one.
        clicks = Clicks.of(batch.x, batch)
        click = torch.arange(len(clicks.session), device=batch.x.device)
        last = torch.zeros_like(batch.x).scatter_reduce_(0, batch.alias_index, click, "amax", include_self=False)
        last = last.sort().values
        node = batch.alias_index[last]
        prefix, item, distance = batch.batch[node], batch.x[node], clicks.distance[last]
        weight = self.click_weight(distance, clicks.ptr.diff()[prefix])
        counts = (weight > 0) & (distance < LATEST)
        prefix, item, distance, weight = prefix[counts], item[counts], distance[counts], weight[counts]
        ptr = index2ptr(prefix, batch.num_graphs)
        entries = pointers(self.item_ptr[item + 1] - self.item_ptr[item])
        found = []
        for begin, end in parts(entries[ptr].diff(), max(self.num_items, len(self.ptr))):
            of = slice(int(ptr[begin]), int(ptr[end]))
            near = self.nearest(prefix[of] - begin, item[of], distance[of], weight[of], end - begin)
            found.append(self.items_of(near, begin))
        return Candidates(*(torch.cat(column) for column in zip(*found, strict=True)))

    def nearest(self, prefix: Tensor, item: Tensor, distance: Tensor, weight: Tensor, num_prefixes: int) -> Neighbours:
        """The neighbours of prefixes, given their distinct items with the distances and weights of these."""
        node, entry = rows_of(self.item_ptr, item)
        num_sessions = len(self.ptr) - 1
        key, order, start = grouped(prefix[node].int() * num_sessions + self.session[entry])
        node = node[order]
        found = Neighbours(
            prefix=key // num_sessions,
            session=key % num_sessions,
            similarity=segment(weight[node], start, reduce="sum"),
            distance=distance[node[start[1:] - 1]],
            anchor=segment(self.last[entry[order]], start, reduce="max"),
        )
        to_latest = to_end(found.prefix, index2ptr(found.prefix, num_prefixes))
        found = found.where(to_latest < self.settings.sample_size)
        found = replace(found, similarity=self.similarity(found))
        return found.where(self._most_similar(found, num_prefixes))

    def _most_similar(self, found: Neighbours, num_prefixes: int) -> Tensor:
        """Whether each is among the k most similar ones of its prefix, [n]."""
        k, ptr = self.settings.k, index2ptr(found.prefix, num_prefixes)
        many = (ptr.diff() > k).nonzero().view(-1)
        if not len(many):
            return torch.ones_like(found.prefix, dtype=torch.bool)
        # Similarity, then recency, as one number: floats that are not negative are in the order of their bits.
        order = found.similarity.float().view(torch.int32).long() << 32 | found.session
        row, entry = rows_of(ptr, many)
        padded = order.new_full((len(many), int(ptr.diff().max())), -1)
        padded[row, entry - ptr[many][row]] = order[entry]
        least = order.new_full((num_prefixes,), -1)
        least[many] = padded.topk(k, sorted=False).values.amin(dim=1)
        return order >= least[found.prefix]

    def items_of(self, found: Neighbours, first: int) -> tuple[Tensor, Tensor, Tensor]:
        """The items of neighbours with their scores, as :class:`Candidates`; `first` is added to the prefixes."""
        weight = found.similarity * self.neighbour_weight(found)
        neighbour, entry = rows_of(self.ptr, found.session)
        value = weight[neighbour] * self.item_weight(found, neighbour, entry)
        key, score = sums_by(found.prefix.int()[neighbour] * self.num_items + self.item[entry], value)
        is_evidence = (score > 0).nonzero().view(-1)
        key, score = key[is_evidence], score[is_evidence]
        return key // self.num_items + first, key % self.num_items, score


def inverse_frequency(item: Tensor, num_items: int, num_sessions: int) -> Tensor:
    """The logarithm of the number of sessions over that of the sessions with an item, [V].

    Args:
        item: The distinct items of all sessions.
        num_items: Number of items :math:`V`.
        num_sessions: Number of sessions.
    """
    return (num_sessions / torch.bincount(item, minlength=num_items).clamp(min=1)).log()
