"""Items of the catalogue: a search by id or title, and those similar to one."""

from typing import Any

import polars as pl

from srgnn.serving.model import LoadedModel


def find_items(model: LoadedModel, query: str, limit: int) -> list[dict[str, Any]]:
    """The items whose id or title contains a text, in small or capital letters.

    Those whose id is the text come first, then those whose id or title begins with it, then the others; among equals
    those with the most training clicks. An empty text finds the most clicked items.

    Args:
        model: The model with its vocabulary.
        query: The text.
        limit: Number of items.

    Returns:
        for each item its `id`, its `title` if it has one, and its number of `clicks` if it is known
    """
    text = pl.lit(query.strip().lower())
    begins = pl.any_horizontal(pl.col("id", "words").str.starts_with(text))
    place = pl.when(pl.col("id") == text).then(0).when(begins).then(1).otherwise(2)
    contains = pl.any_horizontal(pl.col("id", "words").str.contains(text, literal=True))
    found = model.catalogue.filter(contains).sort(place, maintain_order=True).head(limit)
    ids = model.recommender.vocabulary.ids
    rows = found.select("index", "title", "clicks").iter_rows()
    return [
        {"id": ids[index]}
        | ({} if title is None else {"title": title})
        | ({} if clicks is None else {"clicks": clicks})
        for index, title, clicks in rows
    ]


def similar_items(model: LoadedModel, item: int | str, k: int) -> list[dict[str, Any]]:
    """The `k` items that are most similar to one, see :meth:`srgnn.recommender.Recommender.similar_items`.

    Returns:
        for each item its `id`, its `cosine`, and its `title` if it has one
    """
    found = model.recommender.similar_items(item, k)
    titles = found.titles or [None] * len(found.items)
    return [
        {"id": raw, "cosine": cosine} | ({} if title is None else {"title": title})
        for raw, cosine, title in zip(found.items, found.cosines, titles, strict=True)
    ]
