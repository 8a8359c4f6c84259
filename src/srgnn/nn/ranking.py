"""Ranks of targets, and the best items, from the embeddings of sessions and items, without holding the scores.

The plain path is :func:`srgnn.metrics.target_ranks` and :func:`srgnn.metrics.top_items` over all scores [B, V].
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from srgnn.nn.sharding import RowShard, look_up
from srgnn.threads import num_parts, run_parts

ITEMS_PER_TILE = 768  # with 512 sessions 1.5 MB of scores, which stay in the caches of a core
GROUPS = 2**13  # about this many groups of items keep their maximum: fewer make the groups, more the maxima, expensive
WIDER = 8  # groups whose maximum is taken, too: the highest maxima are searched for in an eighth of their number
ITEMS_PER_GROUP = 16  # where all scores are held: the best 20 groups of 43,097 items hold 320 of them
FEW = 8  # sessions, up to which their products with the columns of the items take less time than those with the rows
NUMBERS_PER_CHUNK = 2**20  # of the rows of candidates gathered at a time: 4 MB in float32


def rank_tiles(
    session: Tensor, items: Tensor, norm: Tensor | None, target: Tensor, top: int = 0, shard: RowShard | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The 1-based rank of each target among all items, and the best items with their scores. Meant for a CPU.

    A tile of scores is compared with those of the targets while it is in the caches, and only the maximum of each small
    group of items is kept. Only the groups with the highest maxima can hold one of the best items, and only wider
    groups with the highest maxima can hold one of those groups.

    Args:
        session: Session embeddings, [B, d].
        items: Item embeddings, [V, d].
        norm: Divisors of the scores of every item, [V]; None divides by nothing.
        target: Index of the target of every session, [B]; ties count against it.
        top: Number of best items; ties at the end may be broken in any way.
        shard: The block of the table that `items` and `norm` are; None stands for the whole table.

    Returns:
        ranks [B], best items [B, top], their scores [B, top]
    """
    if len(session) == 1:  # a product of a matrix and a vector may give equal items unequal scores
        found = rank_tiles(session.repeat(2, 1), items, norm, target.repeat(2), top, shard)
        return found[0][:1], found[1][:1], found[2][:1]
    num_sessions, num_items = len(session), len(items)
    sessions = session.T.contiguous()  # [d, B]
    # By a product of matrices, as in the tiles, so that equal items have equal scores to the last bit.
    # Contiguous: comparing a tile with a strided view takes as long as all the rest of the tile.
    threshold = (look_up(items, target, shard) @ sessions).diagonal().contiguous()  # [B] the scores of the targets
    if norm is not None:
        threshold = threshold / look_up(norm.view(-1, 1), target, shard).view(-1)
    if shard is not None:
        target = target - shard.first
    group = min(ITEMS_PER_TILE, max(8, num_items // GROUPS))
    rows_per_tile = ITEMS_PER_TILE // group * group
    tiles_per_part = -(-num_items // (rows_per_tile * num_parts()))
    parts = -(-num_items // (rows_per_tile * tiles_per_part))
    beaten = torch.zeros(parts, num_sessions, dtype=torch.long)
    num_groups = -(-num_items // group)
    maxima = session.new_full((-(-num_groups // WIDER) * WIDER if top else 0, num_sessions), -torch.inf)
    buffer = session.new_empty(torch.get_num_threads(), rows_per_tile, num_sessions)

    def rank_part(part: int, thread: int) -> None:
        begin = part * tiles_per_part * rows_per_tile
        for first in range(begin, min(num_items, begin + tiles_per_part * rows_per_tile), rows_per_tile):
            last = min(num_items, first + rows_per_tile)
            scores = torch.mm(items[first:last], sessions, out=buffer[thread, : last - first])
            if norm is not None:
                scores.div_(norm[first:last].view(-1, 1))
            inside = ((target >= first) & (target < last)).nonzero().view(-1)  # no target beats itself by a rounding
            scores[target[inside] - first, inside] = threshold[inside]
            if top:
                whole = -(-(last - first) // group)
                buffer[thread, last - first : whole * group] = -torch.inf
                grouped = buffer[thread, : whole * group].view(whole, group, num_sessions)
                torch.amax(grouped, dim=1, out=maxima[first // group : first // group + whole])
            beaten[part] += scores.lt_(threshold).sum(dim=0).long()  # several times as fast as a tensor of bool

    run_parts(rank_part, parts)
    num_beaten, num_all = beaten.sum(dim=0), num_items
    if shard is not None:
        shard.sum(num_beaten)
        num_all = shard.num_rows
    ranks = num_all - num_beaten
    wanted, top = top, min(top, num_items)  # a block may have fewer
    best, scores = torch.empty(num_sessions, top, dtype=torch.long), session.new_empty(num_sessions, top)
    if not top:
        return ranks, best, scores

    wider = maxima.view(-1, WIDER, num_sessions).amax(dim=1)
    candidates = min(top, num_groups) * group
    sessions_per_chunk = max(1, NUMBERS_PER_CHUNK // (candidates * session.size(1)))

    def search_chunk(chunk: int, thread: int) -> None:
        rows = slice(chunk * sessions_per_chunk, min(num_sessions, (chunk + 1) * sessions_per_chunk))
        found = _members(wider[:, rows].T.topk(min(top, len(wider))).indices, WIDER)  # [b, top * WIDER] groups
        best_groups = maxima[:, rows].T.gather(1, found).topk(min(top, num_groups)).indices
        found = _members(found.gather(1, best_groups), group)  # [b, top * group] items
        is_item = found < num_items
        found.clamp_(max=num_items - 1)
        of_found = (session[rows].unsqueeze(1) @ F.embedding(found, items).transpose(1, 2)).squeeze(1)
        if norm is not None:
            of_found /= norm[found]
        scores[rows], place = of_found.masked_fill_(~is_item, -torch.inf).topk(top)
        best[rows] = found.gather(1, place)

    run_parts(search_chunk, -(-num_sessions // sessions_per_chunk))
    if shard is not None:
        best, scores = best_of_all(best, scores, wanted, shard)
    return ranks, best, scores


def best_products(
    session: Tensor, items: Tensor, norm: Tensor | None, top: int, columns: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The best items of few sessions and their scores, from all scores at once. Meant for a CPU.

    As in :func:`rank_tiles`, only the groups with the highest maxima can hold one of the best items.

    Args:
        session: Session embeddings, [B, d].
        items: Item embeddings, [V, d].
        norm: Divisors of the scores of every item, [V]; None divides by nothing.
        top: Number of best items; ties at the end may be broken in any way.
        columns: The item embeddings once more, stored column by column, [d, V], contiguous: they multiply up to
            :data:`FEW` sessions in less time. None takes `items` for any number.

    Returns:
        best items [B, top], their scores [B, top]
    """
    # [B, V] in both cases; the second product, too, takes half the time of its transpose
    use_columns = columns is not None and len(session) <= FEW
    scores = session @ columns if use_columns else (items @ session.T).T  # type: ignore[operator]
    if norm is not None:
        scores /= norm
    num_groups = len(items) // ITEMS_PER_GROUP
    if num_groups <= top:
        values, best = scores.topk(top)
        return best, values
    # Group g holds the items g, g + num_groups, g + 2 * num_groups ...: the maxima of such groups are those of long
    # vectors, and take a tenth of the time of the maxima of neighbours.
    whole = num_groups * ITEMS_PER_GROUP
    if use_columns:
        maxima = scores[:, :whole].view(-1, ITEMS_PER_GROUP, num_groups).amax(dim=1)  # [B, groups]
    else:  # the same along the memory of the other product, in half the time
        maxima = scores.T[:whole].view(ITEMS_PER_GROUP, num_groups, -1).amax(dim=0).T
    groups = maxima.topk(top).indices.unsqueeze(2)  # [B, top, 1]
    found = (groups + torch.arange(0, whole, num_groups)).flatten(1)
    found = torch.cat([found, torch.arange(whole, len(items)).expand(len(session), -1)], dim=1)
    values, place = scores.gather(1, found).topk(top)
    return found.gather(1, place), values


def best_of(proposed: Tensor, session: Tensor, items: Tensor, norm: Tensor | None, top: int) -> tuple[Tensor, Tensor]:
    """The best ones of proposed items and their scores.

    Args:
        proposed: The items to choose from, [B, n]; -1 stands for none.
        session: Session embeddings, [B, d].
        items: Item embeddings, [V, d].
        norm: Divisors of the scores of every item, [V]; None divides by nothing.
        top: Number of best items.

    Returns:
        best items [B, top], their scores [B, top]; the last ones are -1, with a score of minus infinity, if too few
        were proposed
    """
    is_item = proposed >= 0
    found = proposed.clamp(min=0)
    scores = (F.embedding(found, items) @ session.unsqueeze(2)).squeeze(2)
    scores = scores if norm is None else scores / norm[found]
    values, place = scores.masked_fill(~is_item, -torch.inf).topk(top)
    return proposed.gather(1, place), values


def _members(groups: Tensor, size: int) -> Tensor:
    """The members of consecutive groups of a size, [b, n] -> [b, n * size]."""
    return (groups.unsqueeze(2) * size + torch.arange(size)).flatten(1)


def rank_block(scores: Tensor, target: Tensor, top: int, shard: RowShard) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`rank_tiles`, from the scores of the items in one block of a sharded table, [B, V / P]."""
    place, is_here = shard.local(target)
    of_target = torch.where(is_here, scores.gather(1, place.view(-1, 1)).view(-1), 0)
    num_beaten = (scores < shard.sum(of_target).view(-1, 1)).sum(dim=1)
    values, items = scores.topk(min(top, scores.size(1)))
    return shard.num_rows - shard.sum(num_beaten), *best_of_all(items, values, top, shard)


def best_of_all(best: Tensor, scores: Tensor, top: int, shard: RowShard) -> tuple[Tensor, Tensor]:
    """The best items of all blocks and their scores, [B, top] each, from the best ones of this process's block."""
    missing = (0, top - best.size(1))
    items = torch.cat(shard.gather(F.pad(best + shard.first, missing)), dim=1)  # [B, P * top]
    values, place = torch.cat(shard.gather(F.pad(scores, missing, value=-torch.inf)), dim=1).topk(top)
    return items.gather(1, place), values
