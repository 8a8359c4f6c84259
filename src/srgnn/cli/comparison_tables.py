"""Tables of a comparison: on the terminal, in Markdown, CSV and LaTeX."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from srgnn.cli.comparison_records import average
from srgnn.cli.tables import console, new_table, print_wide
from srgnn.comparison.rows import FEWEST, Compared, Comparison, Row
from srgnn.metrics import COLD

LEVELS = ((0.01, "**"), (0.05, "*"))  # of the corrected p-values, with their marks
TIMES_CHANCE = f"{COLD}, times chance"
PERCENT = ("recall", "mrr", "ndcg", "coverage", "popularity")
LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
LATEX |= {"<": "$<$", ">": "$>$"}
LATEX |= {char: f"\\{char}" for char in "&%$#_{}"}


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Args:
        text: The text.
        mark: The mark of a significant difference.
        is_best: Whether no other row has a better value in this column.
    """

    text: str = ""
    mark: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table.

    Args:
        title: Its title.
        unit: The unit of its figures.
        header: The names of its columns after the first, which holds the names of the rows.
        rows: The rows.
        notes: Sentences for below it.
    """

    title: str
    unit: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()


def sheets(comparison: Comparison) -> list[Sheet]:
    """The tables of a comparison: metrics, differences from the reference, metrics by length and by clicks."""
    found = [_metrics(comparison)]
    if comparison.differences:
        found.append(_differences(comparison))
    if comparison.lengths:
        cut = comparison.cutoffs[-1]
        found += [_by_length(comparison, f"{name}@{cut}") for name in ("recall", "mrr")]
    return found + by_clicks(comparison)


def by_clicks(comparison: Comparison) -> list[Sheet]:
    """The tables of a comparison by the training clicks of the target; none if all targets are of one class.

    Targets without a click have a further column: recall as a multiple of that of a random order.
    """
    if len(comparison.classes) < 2:
        return []
    cut = comparison.cutoffs[-1]
    recall, mrr = (_by_clicks(comparison, f"{name}@{cut}") for name in ("recall", "mrr"))
    if COLD in comparison.classes:
        chance = [row.at_clicks(COLD, f"above_chance@{cut}") for row in comparison.rows]
        cells = [Cell(), *(Cell("" if value is None else f"{value:.2f}") for value in chance)]
        rows = [[*row, cell] for row, cell in zip(recall.rows, cells, strict=True)]
        note = f"{TIMES_CHANCE}: recall of the targets without a click, divided by that of a random order."
        recall = replace(recall, header=[*recall.header, TIMES_CHANCE], rows=rows, notes=[*recall.notes, note])
    return [recall, mrr]


def _metrics(comparison: Comparison) -> Sheet:
    ranked = [f"{name}@{cut}" for name in ("recall", "mrr", "ndcg") for cut in comparison.cutoffs]
    others = [
        name for name in comparison.rows[0].tests[0].metrics if name.partition("@")[0] not in ("recall", "mrr", "ndcg")
    ]
    best = {name: max(filter(None, (_mean(row, name) for row in comparison.rows)), default=None) for name in ranked}
    rows = []
    for row in comparison.rows:
        cells = [Cell(row.name)]
        for name in [*ranked, *others]:
            mark = _mark(comparison.differences.get((row.name, name)))
            is_best = name in best and best[name] is not None and _mean(row, name) == best[name]
            cells.append(Cell(_value(row, name), mark, is_best))
        seconds = average(test.seconds for test in row.tests)
        memory = average(test.memory for test in row.tests)
        resumed = "+" if any(test.resumed for test in row.tests) else ""
        cells.append(Cell("" if seconds is None else f"{seconds:,.0f}{resumed}"))
        cells.append(Cell("" if memory is None else f"{memory:.1f}"))
        cells.append(Cell("" if row.is_baseline else str(len(row.tests))))
        rows.append(cells)
    notes = list(comparison.notes)
    if any(len(row.tests) > 1 for row in comparison.rows):
        notes.insert(0, "± is the standard deviation over the seeds.")
    if comparison.differences:
        notes.insert(
            0,
            f"* p < 0.05, ** p < 0.01 against {comparison.reference}: paired bootstrap over the {_units(comparison)}, "
            f"{comparison.draws:,} draws, two-sided, corrected by Holm's method for the {len(comparison.differences)} "
            "comparisons of this table.",
        )
    header = [*ranked, *others, "seconds", "GB", "seeds"]
    return Sheet(comparison.title, "percent; novelty in bits", header, rows, notes)


def _differences(comparison: Comparison) -> Sheet:
    rows = []
    for (name, metric), each in comparison.differences.items():
        interval = f"{100 * each.mean:+.2f} [{100 * each.low:+.2f}, {100 * each.high:+.2f}]"
        rows.append([Cell(name), Cell(metric), Cell(interval), Cell(_p(each.p)), Cell(_p(each.corrected))])
    header = ["metric", "difference [95 % interval]", "p", "p, Holm"]
    return Sheet(f"Differences from {comparison.reference}", "percentage points", header, rows)


def _by_length(comparison: Comparison, metric: str) -> Sheet:
    rows = _in_groups(comparison, comparison.lengths, lambda row, length: row.at_length(length, metric))
    return Sheet(f"{metric} by the clicks of the session so far", "percent", [*comparison.lengths], rows)


def _by_clicks(comparison: Comparison, metric: str) -> Sheet:
    tested = {(row, name): each for (row, of, name), each in comparison.by_clicks.items() if of == metric}
    marks = {key: _mark(each) for key, each in tested.items()}
    rows = _in_groups(comparison, comparison.classes, lambda row, name: row.at_clicks(name, metric), marks)
    notes = []
    if tested:
        notes.append(
            f"* p < 0.05, ** p < 0.01 against {comparison.reference}, as above, corrected for the {len(tested)} "
            f"comparisons of this table; a class with fewer than {FEWEST} {_units(comparison)} is not tested."
        )
    return Sheet(f"{metric} by the training clicks of the target", "percent", [*comparison.classes], rows, notes)


def _in_groups(
    comparison: Comparison,
    counts: Mapping[str, int],
    value: Callable[[Row, str], float | None],
    marks: Mapping[tuple[str, str], str] | None = None,
) -> list[list[Cell]]:
    """The number of prefixes of each group, and for each row its values in them."""
    rows = [[Cell("prefixes"), *(Cell(f"{count:,}") for count in counts.values())]]
    best = {name: max((value(row, name) or 0.0 for row in comparison.rows), default=0.0) for name in counts}
    for row in comparison.rows:
        values = {name: value(row, name) for name in counts}
        cells = [
            Cell(
                "" if each is None else f"{100 * each:.2f}", (marks or {}).get((row.name, name), ""), each == best[name]
            )
            for name, each in values.items()
        ]
        rows.append([Cell(row.name), *cells])
    return rows


def _mark(difference: Compared | None) -> str:
    return "" if difference is None else next((mark for p, mark in LEVELS if difference.corrected < p), "")


def _units(comparison: Comparison) -> str:
    return "test sessions" if comparison.resample == "session" else "test prefixes"


def print_sheet(sheet: Sheet) -> None:
    """Prints a table and its notes."""
    table = new_table(sheet.title, sheet.unit, *sheet.header)
    for row in sheet.rows:
        table.add_row(*(Text(cell.text + cell.mark, style="bold" if cell.is_best else "") for cell in row))
    print_wide(table)
    for note in sheet.notes:
        console.print(note)
    if sheet.notes:
        console.print()


def markdown(comparisons: Iterable[Sequence[Sheet]]) -> str:
    """The tables of comparisons as Markdown."""
    lines: list[str] = ["# Comparison", ""]
    for found in comparisons:
        for level, sheet in zip(("##", *["###"] * len(found)), found, strict=False):
            lines += [f"{level} {sheet.title}", ""]
            lines += ["| " + " | ".join(map(_escaped, [sheet.unit, *sheet.header])) + " |"]
            lines += ["| --- |" + " ---: |" * len(sheet.header)]
            lines += ["| " + " | ".join(map(_cell_in_markdown, row)) + " |" for row in sheet.rows]
            lines += [""]
            for note in sheet.notes:
                lines += [_escaped(note), ""]
    return "\n".join(lines)


def _cell_in_markdown(cell: Cell) -> str:
    text = _escaped(cell.text)
    return f"**{text}**{_escaped(cell.mark)}" if cell.is_best and text else text + _escaped(cell.mark)


def _escaped(text: str) -> str:
    return re.sub(r"([\\|*_<>`])", r"\\\1", text)


def latex(comparisons: Iterable[Sequence[Sheet]]) -> str:
    """The tables of comparisons as LaTeX, for the packages booktabs and graphicx; a wide one is scaled to the line."""
    parts = ["% \\usepackage{booktabs, graphicx}"]
    for found in comparisons:
        for sheet in found:
            header = " & ".join(map(_in_latex, ["", *sheet.header]))
            rows = [" & ".join(map(_cell_in_latex, row)) + r" \\" for row in sheet.rows]
            caption = " ".join([f"{sheet.title}, {sheet.unit}.", *sheet.notes])
            parts += [
                "",
                r"\begin{table}",
                r"  \centering",
                f"  \\caption{{{_in_latex(caption)}}}",
                r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
                f"  \\begin{{tabular}}{{l{'r' * len(sheet.header)}}}",
                r"    \toprule",
                f"    {header} \\\\",
                r"    \midrule",
                *(f"    {row}" for row in rows),
                r"    \bottomrule",
                r"  \end{tabular}}",
                r"\end{table}",
            ]
    return "\n".join(parts) + "\n"


def _cell_in_latex(cell: Cell) -> str:
    text = _in_latex(cell.text)
    return (rf"\textbf{{{text}}}" if cell.is_best and text else text) + (f"$^{{{cell.mark}}}$" if cell.mark else "")


def _in_latex(text: str) -> str:
    parts = re.split(r"(?<![\w.])-(?=\d)", text)  # at the signs of numbers: a hyphen is shorter than a minus
    return "$-$".join("".join(LATEX.get(char, char) for char in part) for part in parts)


def _value(row: Row, metric: str) -> str:
    mean, deviation = row.mean(metric), row.deviation(metric)
    if mean is None:
        return ""
    factor = 100 if metric.partition("@")[0] in PERCENT else 1
    text = f"{factor * mean:.2f}"
    return text if deviation is None else f"{text} ± {factor * deviation:.2f}"


def _mean(row: Row, metric: str) -> float | None:
    """The mean as it is shown: rows that show the same value are equally good."""
    mean = row.mean(metric)
    return None if mean is None else round(mean, 4)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
