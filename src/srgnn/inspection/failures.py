"""Where models fail on a test set: the rank of every target, metrics by groups of prefixes, and the worst prefixes."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import torch
from torch import Tensor

from srgnn.data.graphs import SessionGraphs
from srgnn.data.sessions import SessionData
from srgnn.evaluation import LENGTHS, Measurement, rank_table
from srgnn.nn.counts import count_pairs

OVERLAPPING = ("1-5", "6+")  # lengths that contain others


def prefix_table(data: SessionData, ranks: Mapping[str, Tensor]) -> pl.DataFrame:
    """A table of one row per test prefix: the ranks of its target, and what is known about that target.

    Args:
        data: The data set.
        ranks: The ranks of all test targets [P] by the name of the model, as in
            :class:`~srgnn.evaluation.Measurement`.

    Returns:
        The columns of :func:`~srgnn.evaluation.rank_table`, and: `last`, index of the last click's item; `popularity`,
        number of training clicks of the target; `followed`, number of times that it followed the last item in training;
        `repeat`, whether the target is one of the prefix's own items.
    """
    graphs = SessionGraphs(data.test, data.num_items)
    place = graphs.start + graphs.length  # of the target
    items = data.test.items.long()
    last, target = items[place - 1], items[place]
    first, second, count = count_pairs(data.train, data.num_items)
    pairs, wanted = first * data.num_items + second, last * data.num_items + target
    found = torch.searchsorted(pairs, wanted).clamp_(max=max(0, len(pairs) - 1))
    followed = torch.where(pairs[found] == wanted, count[found], 0) if len(pairs) else torch.zeros_like(wanted)
    clicks = pl.DataFrame({"session": data.test.owner.numpy(), "item": items.numpy()})
    repeat = (~clicks.select(pl.struct("session", "item").is_first_distinct()).to_series()).to_numpy()
    return rank_table(graphs, ranks).with_columns(
        last=last.int().numpy(),
        popularity=data.train_clicks[target].numpy(),
        followed=followed.numpy(),
        repeat=repeat[place.numpy()],
    )


def in_ranges(values: pl.Series, upper: Sequence[int] | None = None) -> pl.Series:
    """Ranges of whole numbers as ordered labels: `0`, `1-3`, `4+`.

    Args:
        values: Whole numbers, none negative.
        upper: The largest number of each range but the last, ascending; None takes the quartiles of `values`, so that
            each range has about a quarter of them. Equal numbers are never parted.
    """
    numbers = values.to_numpy()
    if upper is None:
        upper = sorted(set(np.quantile(numbers, (0.25, 0.5, 0.75), method="lower").tolist()) - {int(numbers.max())})
    lower = [0, *(bound + 1 for bound in upper)]
    labels = [str(a) if a == b else f"{a}-{b}" for a, b in zip(lower, upper, strict=False)] + [f"{lower[-1]}+"]
    places = np.searchsorted(np.array(upper), numbers)
    return pl.Series(values.name, [labels[place] for place in places], dtype=pl.Enum(labels))


def metrics_by(table: pl.DataFrame, by: str, models: Sequence[str], k: int = 20) -> pl.DataFrame:
    """recall@k and mrr@k of models by a column of :func:`prefix_table`, as fractions.

    Args:
        table: A table with a column of ranks for each model.
        by: The column whose values are the groups.
        models: Names of the models.
        k: The cut-off.

    Returns:
        The groups in order with the number of their `prefixes`, and the columns `recall@k MODEL` and `mrr@k MODEL`.
    """
    hits = {model: pl.col(model) <= k for model in models}
    return (
        table.group_by(by)
        .agg(
            pl.len().alias("prefixes"),
            *(hit.mean().alias(f"recall@{k} {model}") for model, hit in hits.items()),
            *(
                pl.when(hit).then(1 / pl.col(model)).otherwise(0).mean().alias(f"mrr@{k} {model}")
                for model, hit in hits.items()
            ),
        )
        .sort(by)
    )


def metrics_by_length(measurements: Mapping[str, Measurement], k: int = 20) -> pl.DataFrame:
    """The table of :func:`metrics_by` by the number of clicks so far, from measurements of the same test set."""
    names = [f"{metric}@{k}" for metric in ("recall", "mrr")]
    some = next(iter(measurements.values())).by_length
    rows = [
        {"clicks": length, "prefixes": some[length]["prefixes"]}
        | {f"{name} {model}": test.by_length[length][name] for name in names for model, test in measurements.items()}
        for length in some
        if length not in OVERLAPPING
    ]
    return pl.DataFrame(rows).with_columns(pl.col("clicks").cast(pl.Enum([*LENGTHS])))


def with_ids(table: pl.DataFrame, data: SessionData) -> pl.DataFrame:
    """A few rows of :func:`prefix_table` by raw ids: `prefix`, the ids of its clicks, and `target` come first."""
    ids = [str(raw) for raw in data.vocabulary.ids]
    prefixes = [
        " → ".join(ids[i] for i in data.test[session][:clicks].tolist())
        for session, clicks in table.select("session", "clicks").iter_rows()
    ]
    targets = [ids[i] for i in table["target"]]
    named = table.with_columns(prefix=pl.Series(prefixes, dtype=pl.String), target=pl.Series(targets, dtype=pl.String))
    return named.select("prefix", "target", pl.exclude("prefix", "target", "session", "clicks", "last"))
