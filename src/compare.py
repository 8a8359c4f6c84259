"""Compares finished runs and sweeps: `python src/compare.py outputs/sweeps/2026-01-31_12-00-00`."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig

from srgnn.cli.arguments import as_typed, cutoffs
from srgnn.cli.comparison_records import records
from srgnn.cli.comparison_tables import latex, markdown, print_sheet, sheets
from srgnn.cli.comparisons import LARGEST, compared_rows, find_runs, reference_of, runs_option
from srgnn.cli.config import program
from srgnn.cli.errors import one_sentence, options_of
from srgnn.cli.tables import say
from srgnn.comparison.rows import Comparison, compare
from srgnn.errors import UserError
from srgnn.saving import whole_file


@program("compare")
def main(config: DictConfig) -> None:
    k = sorted(set(cutoffs(config.k, LARGEST)))
    paths = [config.runs] if isinstance(config.runs, str) else list(config.runs or ())
    if not paths:
        raise UserError("runs is empty: name the folders of runs or sweeps.")
    found = compared_rows(find_runs([*map(str, paths)]), k)
    references = [reference_of(each, config.against) for each in found]
    can_be_compared = [
        reference if any(row.name == reference and row.ranks is not None for row in each.rows) else None
        for each, reference in zip(found, references, strict=True)
    ]
    if any(references) and not any(can_be_compared):
        raise UserError(f"against={config.against}: this run has no ranks.parquet; name another row.")
    if config.against is not None and not any(references):
        names = ", ".join(row.name for each in found for row in each.rows)
        raise UserError(f"against={config.against}: expected the folder of a run, or one of the rows {names}.")
    with options_of(config):
        comparisons = [
            compare(each, reference, config.resample, config.draws, config.seed)
            for each, reference in zip(found, can_be_compared, strict=True)
        ]
    tables = [sheets(comparison) for comparison in comparisons]
    for sheet in (sheet for table in tables for sheet in table):
        print_sheet(sheet)
    if config.output is not None:
        write(Path(config.output), comparisons)
    else:
        say("output=FOLDER writes these tables as Markdown, CSV and LaTeX, and pictures of them.")


def write(folder: Path, comparisons: Sequence[Comparison]) -> None:
    """Writes the tables and the pictures of comparisons."""
    tables = [sheets(comparison) for comparison in comparisons]
    contents = {"md": markdown(tables), "tex": latex(tables), "csv": records(comparisons).write_csv()}
    for kind, content in contents.items():
        with whole_file(folder / f"comparison.{kind}", "the comparison", "output") as temporary:
            temporary.write_text(content, encoding="utf-8")
    say(f"Tables: {os.path.relpath(folder)}/comparison.md, .csv and .tex")
    if find_spec("matplotlib") is None:
        say("Pictures need matplotlib: pip install 'srgnn[plots]'.")
        return
    from srgnn.comparison.draw import draw_clicks, draw_lengths, draw_metrics
    from srgnn.figures import save

    names = []
    for number, comparison in enumerate(comparisons, start=1):
        suffix = f"-{number}" if len(comparisons) > 1 else ""
        if comparison.intervals:
            save(draw_metrics(comparison), folder / f"metrics{suffix}")
            names.append(f"metrics{suffix}")
        if comparison.lengths:
            save(draw_lengths(comparison), folder / f"lengths{suffix}")
            names.append(f"lengths{suffix}")
        if len(comparison.classes) > 1:
            save(draw_clicks(comparison), folder / f"clicks{suffix}")
            names.append(f"clicks{suffix}")
    if names:
        say(f"Pictures: {', '.join(names)}, each as .png and .svg")


if __name__ == "__main__":
    with one_sentence("compare"):
        sys.argv[1:] = as_typed(runs_option(sys.argv[1:]))
    main()
