"""The figures of comparisons in long form, for a CSV file."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from srgnn.comparison.rows import Compared, Comparison


def records(comparisons: Iterable[Comparison]) -> pl.DataFrame:
    """All figures in long form: one row for each comparison, row, metric and group, as fractions."""
    found: list[dict[str, Any]] = []
    for comparison in comparisons:
        for row in comparison.rows:
            key = {"data_set": comparison.data_set, "protocol": comparison.protocol, "row": row.name}
            for metric in row.tests[0].metrics:
                interval = comparison.intervals.get((row.name, metric))
                found.append(
                    {
                        **key,
                        "metric": metric,
                        "clicks": "all",
                        "target_clicks": "all",
                        "mean": row.mean(metric),
                        "deviation": row.deviation(metric),
                        "seeds": len(row.tests),
                        "low": interval and interval.low,
                        "high": interval and interval.high,
                        **_difference(comparison, comparison.differences.get((row.name, metric))),
                    }
                )
            for length in comparison.lengths:
                for metric in row.tests[0].by_length.get(length, {}):
                    group = {"clicks": length, "target_clicks": "all", "mean": row.at_length(length, metric)}
                    found.append({**key, "metric": metric, **group, "seeds": len(row.tests)})
            for name in comparison.classes:
                for metric in row.tests[0].by_clicks.get(name, {}):
                    group = {"clicks": "all", "target_clicks": name, "mean": row.at_clicks(name, metric)}
                    difference = _difference(comparison, comparison.by_clicks.get((row.name, metric, name)))
                    found.append({**key, "metric": metric, **group, "seeds": len(row.tests), **difference})
            for metric, values in (
                ("seconds", [test.seconds for test in row.tests]),
                ("memory_gb", [test.memory for test in row.tests]),
            ):
                if (mean := average(values)) is not None:
                    group = {"clicks": "all", "target_clicks": "all", "mean": mean}
                    found.append({**key, "metric": metric, **group, "seeds": len(row.tests)})
    return pl.DataFrame(found, infer_schema_length=None)


def _difference(comparison: Comparison, difference: Compared | None) -> dict[str, Any]:
    """The columns of a difference from the reference."""
    return {
        "against": comparison.reference if difference else None,
        "difference": difference and difference.mean,
        "difference_low": difference and difference.low,
        "difference_high": difference and difference.high,
        "p": difference and difference.p,
        "p_holm": difference and difference.corrected,
    }


def average(values: Iterable[float | None]) -> float | None:
    """The mean of the known values; None if none is known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
