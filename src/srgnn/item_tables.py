"""All items of a recommender as tables: their embeddings, and the items that are most similar to each."""

import numpy as np
import polars as pl
import torch

from srgnn.errors import check_int
from srgnn.metrics import check_finite
from srgnn.nn.embedding import SMALLEST_NORM
from srgnn.progress import Progress
from srgnn.recommender import Recommender

CELLS = 2**22  # cosines that are computed at a time: 16 MB


def embedding_table(recommender: Recommender, in_columns: bool = False) -> pl.DataFrame:
    """The embeddings of all items, with their ids and, where there are any, titles.

    Args:
        recommender: The recommender.
        in_columns: Whether each number of an embedding has a column of its own, `embedding_1` and so on, instead of one
            column `embedding` of arrays.

    Raises:
        UserError: if the model has no item embeddings.
    """
    table = recommender.item_embeddings.float().cpu().numpy()
    if in_columns:
        numbers = pl.DataFrame(table, [f"embedding_{number}" for number in range(1, table.shape[1] + 1)])
    else:
        numbers = pl.DataFrame({"embedding": table})
    return pl.concat([_items(recommender), numbers], how="horizontal")


@torch.inference_mode()
def similar_table(recommender: Recommender, k: int = 10) -> pl.DataFrame:
    """The `k` most similar items of every item, as lists `items` and `cosines`; see :meth:`Recommender.similar_items`.

    Raises:
        UserError: if the model has no item embeddings, `k` is not smaller than the number of items, or an embedding is
            not finite.
    """
    table = recommender.item_embeddings
    check_int("k", k, 1, len(table) - 1)
    unit = table / torch.linalg.vector_norm(table, dim=1, keepdim=True).clamp(min=SMALLEST_NORM)
    items, cosines = np.empty((len(table), k), np.int64), np.empty((len(table), k), np.float32)
    size = max(1, CELLS // len(table))
    for first in Progress(range(0, len(table), size), desc="Similar items"):
        block = check_finite((unit[first : first + size] @ unit.T).clamp(-1, 1))
        block.diagonal(first).fill_(-torch.inf)
        best = block.topk(k)
        items[first : first + size], cosines[first : first + size] = best.indices, best.values
    ids = pl.Series(recommender.vocabulary.ids)
    similar = ids.gather(items.reshape(-1)).reshape(items.shape).cast(pl.List(ids.dtype))
    return _items(recommender).with_columns(items=similar, cosines=pl.Series(cosines).cast(pl.List(pl.Float32)))


def _items(recommender: Recommender) -> pl.DataFrame:
    titles = {} if recommender.titles is None else {"title": pl.Series(recommender.titles, dtype=pl.String)}
    return pl.DataFrame({"id": recommender.vocabulary.ids, **titles})
