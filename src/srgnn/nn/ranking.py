"""Ranks of targets, and the best items, from the embeddings of sessions and items, without holding the scores.

The plain path is :func:`srgnn.metrics.target_ranks` and :func:`srgnn.metrics.top_items` over all scores [B, V].
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from srgnn.nn.sharding import RowShard, look_up
from srgnn.threads import num_parts, run_parts

ITEMS_PER_TILE = 768  # with 512 sessions 1.5 MB of scores, which stay in the caches of a core
COUNTED = 255  # the most that a byte counts
GROUPS = 2**13  # about this many groups of items keep their maximum: fewer make the groups, more the maxima, expensive
NUMBERS_PER_CHUNK = 2**20  # of the rows of candidates gathered at a time: 4 MB in float32


def rank_tiles(
    session: Tensor, items: Tensor, norm: Tensor | None, target: Tensor, top: int = 0, shard: RowShard | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The 1-based rank of each target among all items, and the best items with their scores. Meant for a CPU.

    A tile of scores is compared with those of the targets while it is in the caches, and only the maximum of each small
    group of items is kept. Only the groups with the highest maxima can hold one of the best items.

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
    num_sessions, num_items = len(session), len(items)
    sessions = F.pad(session, (0, 0, 0, -num_sessions % 8)).T.contiguous()  # [d, B], eight to a word
    width = sessions.size(1)
    # By a product of matrices, as in the tiles, so that equal items have equal scores to the last bit.
    of_target = (look_up(items, target, shard) @ sessions)[:, :num_sessions].diagonal()  # [B]
    if norm is not None:
        of_target = of_target / look_up(norm.view(-1, 1), target, shard).view(-1)
    if shard is not None:
        target = target - shard.first
    threshold = F.pad(of_target, (0, width - num_sessions))
    group = min(ITEMS_PER_TILE, max(8, num_items // GROUPS))
    rows_per_tile = ITEMS_PER_TILE // group * group
    tiles_per_part = -(-num_items // (rows_per_tile * num_parts()))
    parts = -(-num_items // (rows_per_tile * tiles_per_part))
    beaten = torch.zeros(parts, width, dtype=torch.int32)
    maxima = session.new_empty(-(-num_items // group) if top else 0, width)
    threads = torch.get_num_threads()
    buffer = session.new_empty(threads, rows_per_tile, width)
    is_less = torch.empty(threads, rows_per_tile, width, dtype=torch.bool)

    def rank_part(part: int, thread: int) -> None:
        begin = part * tiles_per_part * rows_per_tile
        for first in range(begin, min(num_items, begin + tiles_per_part * rows_per_tile), rows_per_tile):
            last = min(num_items, first + rows_per_tile)
            scores = torch.mm(items[first:last], sessions, out=buffer[thread, : last - first])
            if norm is not None:
                scores.div_(norm[first:last].view(-1, 1))
            inside = ((target >= first) & (target < last)).nonzero().view(-1)  # no target beats itself by a rounding
            scores[target[inside] - first, inside] = threshold[inside]
            less = torch.lt(scores, threshold, out=is_less[thread, : last - first])
            for rows in torch.split(less.view(torch.long), COUNTED):  # adds up eight sessions at a time
                beaten[part] += rows.sum(dim=0).view(torch.uint8)
            if top:
                whole = -(-(last - first) // group)
                buffer[thread, last - first : whole * group] = -torch.inf
                grouped = buffer[thread, : whole * group].view(whole, group, width)
                torch.amax(grouped, dim=1, out=maxima[first // group : first // group + whole])

    run_parts(rank_part, parts)
    num_beaten, num_all = beaten.sum(dim=0)[:num_sessions], num_items
    if shard is not None:
        shard.sum(num_beaten)
        num_all = shard.num_rows
    ranks = num_all - num_beaten
    wanted, top = top, min(top, num_items)  # a block may have fewer
    best, scores = torch.empty(num_sessions, top, dtype=torch.long), session.new_empty(num_sessions, top)
    if not top:
        return ranks, best, scores

    within = torch.arange(group)
    candidates = min(top, len(maxima)) * group
    sessions_per_chunk = max(1, NUMBERS_PER_CHUNK // (candidates * session.size(1)))

    def search_chunk(chunk: int, thread: int) -> None:
        rows = slice(chunk * sessions_per_chunk, min(num_sessions, (chunk + 1) * sessions_per_chunk))
        groups = maxima[:, rows].T.topk(min(top, len(maxima))).indices  # [b, top]
        found = (groups.unsqueeze(2) * group + within).flatten(1)  # [b, top * group]
        is_item = found < num_items
        found.clamp_(max=num_items - 1)
        of_found = (items[found] @ session[rows].unsqueeze(2)).squeeze(2)
        if norm is not None:
            of_found /= norm[found]
        scores[rows], place = of_found.masked_fill_(~is_item, -torch.inf).topk(top)
        best[rows] = found.gather(1, place)

    run_parts(search_chunk, -(-num_sessions // sessions_per_chunk))
    if shard is not None:
        best, scores = best_of_all(best, scores, wanted, shard)
    return ranks, best, scores


def rank_block(scores: Tensor, target: Tensor, top: int, shard: RowShard) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`rank_tiles`, from the scores of the items in one block of a shared-out table, [B, V / P]."""
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
