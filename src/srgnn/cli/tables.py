"""Terminal output: lines, and tables of results, of a preparation and of a sweep."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from srgnn.cli.errors import visible
from srgnn.cli.launched import is_main_process
from srgnn.cli.runs import SweptRun

if TYPE_CHECKING:  # torch and PyG take seconds to load
    from srgnn.answers import Recommendations, SimilarItems
    from srgnn.data import SessionData

WIDE = 1000  # characters: no table is wider
BAR = 20  # characters of the longest bar


class _Console(Console):
    """A console that shows ids, paths and titles as they are: no markup, no emoji codes, no escape sequences."""

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


console = _Console(soft_wrap=True)


class _Lines(logging.Handler):
    """Prints what the library logs as plain lines, above the progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(visible(self.format(record)), file=sys.stdout)
        sys.stdout.flush()


def replace_unknown_characters() -> None:
    """Lets the terminal show a question mark for characters that its encoding does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook has streams of its own, in UTF-8
            stream.reconfigure(errors="replace")


def show_log() -> None:
    """Shows the library's log on standard output: progress of the first process, warnings of the others."""
    replace_unknown_characters()
    log = logging.getLogger("srgnn")
    log.setLevel(logging.INFO if is_main_process() else logging.WARNING)
    log.addHandler(_Lines())


class _Numbered:
    """A stream that begins every line with a text, writes whole lines only, and leaves out empty ones."""

    def __init__(self, stream: TextIO, start: str):
        self.stream, self.start, self.rest = stream, start, ""

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        # Of a line that was overwritten, such as a progress bar, the last state.
        shown = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
        self.stream.write("".join(f"{self.start}{line}\n" for line in shown if line.strip()))
        self.stream.flush()
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def show_number(number: int) -> None:
    """Begins every line of this process with the number of its run, because several print to one terminal."""
    sys.stdout = _Numbered(sys.__stdout__, f"[{number}] ")  # type: ignore[arg-type]
    sys.stderr = _Numbered(sys.__stderr__, f"[{number}] ")  # type: ignore[arg-type]


def say(text: str) -> None:
    """Prints a text, once for all processes."""
    if is_main_process():
        console.print(text)


def new_table(title: str, first: str, *others: str) -> Table:
    """A table of numbers: a column of names on the left, the numbers right-aligned."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", collapse_padding=True)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def print_wide(table: Table) -> None:
    """Prints a table as wide as its cells: a narrow terminal wraps its lines, and no figure is cut."""
    _Console(width=WIDE).print(table)


def print_results(title: str, metrics: Mapping[str, Mapping[str, float]], k: Sequence[int]) -> None:
    """Prints a table of recall and mrr in percent, one row per model."""
    names = [f"{metric}@{cut}" for metric in ("recall", "mrr") for cut in sorted(set(k))]
    table = new_table(title, "test, percent", *names)
    for row, (model, values) in enumerate(metrics.items()):
        table.add_row(model, *(f"{100 * values[name]:.2f}" for name in names), style="bold" if row == 0 else None)
    _Console().print(table)


def print_preparation(data: SessionData) -> None:
    """Prints the manifest as tables: what every rule left, the session lengths, and the split."""
    manifest = data.manifest
    rules = new_table(manifest["name"], "rule", "clicks", "sessions", "items")
    for step in manifest.get("steps", []):
        rules.add_row(step["rule"], *(_number(step[name]) for name in ("clicks", "sessions", "items")))
    for name, part in (("training set", manifest["sets"]["train"]), ("test set", manifest["sets"]["test"])):
        rules.add_row(name, *map(_number, part.values()), style="bold")
    console.print(rules)

    lengths = new_table("Sessions by their clicks", "clicks", "training", "", "test", "")
    lengths.columns[2].justify = lengths.columns[4].justify = "left"
    train, test = manifest["lengths"]["train"], manifest["lengths"]["test"]
    for bucket in train:
        lengths.add_row(bucket, *_share(train, bucket), *_share(test, bucket))
    console.print(lengths)
    console.print("\n".join(_summary(manifest)))


def _summary(manifest: Mapping[str, Any]) -> list[str]:
    """The counts and the split of a manifest as lines of text."""
    counts = manifest["counts"]
    lines = [
        f"{counts['train_prefixes']:,} training prefixes, {counts['test_prefixes']:,} test prefixes, "
        f"{counts['items']:,} candidates, of which {counts['trained_items']:,} occur in training"
    ]
    if "titled_items" in manifest:
        lines.append(f"The item table has titles of {manifest['titled_items']:,} of the {counts['items']:,} candidates")
    if "vectors" in manifest:
        vectors = manifest["vectors"]
        lines.append(
            f"{vectors['items']:,} of the {counts['items']:,} candidates have a vector of {vectors['width']} numbers"
        )
    unseen = manifest["unseen_test_targets"] / counts["test_prefixes"]
    lines.append(f"Test targets never seen in training: {100 * unseen:.2f} %")
    if (split := manifest.get("split")) is not None:
        lines[-1] += f" ({100 * split['unseen_share_before_rule']:.2f} % before the rule on test clicks)"
        lines += [
            f"Training sessions end from {split['train'][0]} to {split['train'][1]} UTC,",
            f"test sessions end from     {split['test'][0]} to {split['test'][1]} UTC; "
            f"{split['test_sessions_begun_before']:,} of them began before the split",
        ]
    return lines


def _share(counts: Mapping[str, int], bucket: str) -> tuple[str, str]:
    """A count, and its bar, scaled to the longest one."""
    return _number(counts[bucket]), _block() * round(BAR * counts[bucket] / max(counts.values()))


def _block() -> str:
    """The character that bars are made of: a full block where the terminal has it."""
    try:
        "█".encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return "#"
    return "█"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def print_recommendations(session: Sequence[str], best: Recommendations) -> None:
    """Prints the best items after a session, with titles if there are any."""
    after = "The most clicked items, because no click is known" if best.by_popularity else f"After {', '.join(session)}"
    table = Table(title=after, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("", justify="right")
    table.add_column("item")
    if best.titles:
        table.add_column("title")
    table.add_column("probability", justify="right")
    for place, item in enumerate(best.items):
        title = [best.titles[place] or ""] if best.titles else []
        probability = best.probabilities[place] if best.probabilities else 0
        table.add_row(str(place + 1), str(item), *title, f"{100 * probability:.2f} %")
    console.print(table)
    if best.skipped:
        console.print(f"Skipped, because unknown: {', '.join(map(str, best.skipped))}")


def print_similar(item: str, similar: SimilarItems) -> None:
    """Prints the items nearest to an item, with titles if there are any."""
    table = Table(title=f"Similar to {item}", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("", justify="right")
    table.add_column("item")
    if similar.titles:
        table.add_column("title")
    table.add_column("cosine", justify="right")
    for place, (other, cosine) in enumerate(similar):
        title = [similar.titles[place] or ""] if similar.titles else []
        table.add_row(str(place + 1), str(other), *title, f"{cosine:.3f}")
    console.print(table)


def print_sweep(folder: Path, runs: Sequence[SweptRun]) -> None:
    """Prints a table of the runs of a sweep: the options that vary, and their main metrics or why there are none."""
    metrics = [run.metrics for run in runs if run.metrics]
    cut = max((int(name.removeprefix("mrr@")) for each in metrics for name in each if "mrr@" in name), default=20)
    names = [f"recall@{cut}", f"mrr@{cut}"]
    table = Table(title=f"The sweep {folder}", box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("run", "options", *names, "seconds"):
        table.add_column(name, justify="left" if name == "options" else "right")
    best = max((each[names[1]] for each in metrics if names[1] in each), default=None)
    options_of = [[text for text in run.overrides if not text.startswith("launcher=")] for run in runs]
    common = [text for text in options_of[0] if all(text in each for each in options_of)] if len(runs) > 1 else []
    if common:
        table.caption, table.caption_justify = f"All runs: {' '.join(common)}", "left"
    for run, given in zip(runs, options_of, strict=True):
        options = " ".join(text for text in given if text not in common)
        if run.metrics is None or run.result is None:
            table.add_row(str(run.number), f"{options}\n{run.problem}", "", "", "", style="red")
            continue
        figures = [f"{100 * run.metrics[name]:.2f}" if name in run.metrics else "" for name in names]
        style = "bold" if best is not None and run.metrics.get(names[1]) == best else None
        table.add_row(str(run.number), options, *figures, f"{run.result['seconds']:,.0f}", style=style)
    _Console().print(table)
