"""Any click log -> sessions: :class:`ClickLog` describes a log and caches its sessions, :func:`prepare` makes them."""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from srgnn.data.log import times
from srgnn.data.log.arguments import check_text
from srgnn.data.log.check import check
from srgnn.data.log.clicks import Clicks
from srgnn.data.log.files import PathName, PathNames, RawFiles
from srgnn.data.log.items import ItemTable, read_items, with_titles
from srgnn.data.log.layout import Columns, LogFormat
from srgnn.data.log.read import read
from srgnn.data.log.report import Step, count
from srgnn.data.log.rules import Rules, apply_rules
from srgnn.data.log.sort import code_items, sort
from srgnn.data.log.split import split
from srgnn.data.sessions import Ints, SessionData, Vocabulary
from srgnn.errors import ArgumentError, UserError, check_choice
from srgnn.saving import write_error

RECIPE = 1  # increase it when the preparation changes, so that older caches are no longer used

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClickLog:
    """A raw click log of any layout, and the rules that turn it into sessions.

    Args:
        path: A file, a glob or a list of them: CSV, TSV, JSON lines or Parquet, plain or compressed (gz, zst).
        name: Name of the data set.
        columns: The names of the log's columns.
        header: The names of all columns of a text file without a header; None where there is a header.
        separator: Field separator of a text file; None detects it.
        quote: The character around fields that hold separators; None where quotes are part of the text.
        nested: A column that holds a list of clicks in each row (JSON lines, Parquet); None if a row is one click.
        session_gap: The inactivity that ends a visit, such as `30m`, for logs with users instead of sessions.
        time_format: s, ms, us or ns since 1970, or a strftime format; None detects it.
        time_zone: The time zone of times that do not give one.
        events: The event types that count as clicks; None takes all.
        where: The rows to take, as an SQL expression over the log's own columns; None takes all.
        items: The table of items with their titles.
        on_error: `raise` an error for a row without session, item or readable time, with more fields than the header,
            or that is not JSON; or `skip` and count such rows.
        rules: The rules that turn the log into sessions.
        source: Where the log can be downloaded, and under which terms.
        cache: Folder for the prepared data.

    Raises:
        ArgumentError: for a value that is not allowed.

    Example:
        >>> ClickLog("log.csv", columns=Columns(session="visit"), rules=Rules(test_days=7)).load()
    """

    path: PathNames
    name: str = "clicks"
    columns: Columns = field(default_factory=Columns)
    header: Sequence[str] | None = None
    separator: str | None = None
    quote: str | None = '"'
    nested: str | None = None
    session_gap: str | None = None
    time_format: str | None = None
    time_zone: str = "UTC"
    events: str | Sequence[str] | None = None
    where: str | None = None
    items: ItemTable = field(default_factory=ItemTable)
    on_error: str = "raise"
    rules: Rules = field(default_factory=Rules)
    source: str = ""
    cache: PathName = "data/prepared"

    def __post_init__(self) -> None:
        check_choice("on_error", self.on_error, ["raise", "skip"])
        if self.session_gap is not None:
            times.duration("session_gap", self.session_gap)
        for argument, kind, expected, example in (
            ("columns", Columns, "a Columns", "columns.item=NAME"),
            ("items", ItemTable, "an ItemTable", "items.path=FILE"),
            ("rules", Rules, "a Rules", "rules.test_days=7"),
        ):
            value = getattr(self, argument)
            if not isinstance(value, kind):
                text = f"{argument}={value}: expected {expected}, such as {example}."
                raise UserError(text, argument, example.partition("=")[0])
        check_text("name", self.name, "clicks")
        check_text("nested", self.nested, "events", optional=True)
        check_text("time_format", self.time_format, "ms or '%d.%m.%Y %H:%M'", optional=True)
        check_text("time_zone", self.time_zone, "UTC or Europe/Berlin")
        check_text("where", self.where, "'price IS NOT NULL'", optional=True)
        if not isinstance(self.cache, os.PathLike):
            check_text("cache", self.cache, "data/prepared")
        header = () if self.header is None else self.header
        if not isinstance(header, list | tuple) or not all(isinstance(name, str) for name in header):
            raise ArgumentError("header", self.header, "a list of names")
        for argument in ("separator", "quote"):
            value = getattr(self, argument)
            if value is not None and (not isinstance(value, str) or len(_unescaped(value).encode()) != 1):
                raise ArgumentError(argument, value, "one character, or null")

    @property
    def num_items(self) -> None:
        """None: the number is unknown before the log is loaded."""

    @property
    def format(self) -> LogFormat:
        """The part of the description that says how to read the rows."""
        return LogFormat(
            self.columns,
            nested=self.nested,
            session_gap=self.session_gap,
            time_format=self.time_format,
            time_zone=self.time_zone,
            events=self.events,
            where=self.where,
        )

    def load(self) -> SessionData:
        """Returns the sessions of the log, from the cache if it holds the same files prepared with the same arguments.

        Raises:
            UserError: if it cannot be prepared; the message says what is wrong, where, and what to do.
        """
        files, item_files = self._find_files()
        hashes = files.hashes() | (item_files.hashes() if item_files else {})
        contents = [(part.kind, hashes[str(path)]) for part in (files, item_files) if part for path in part.paths]
        recipe = json.dumps([RECIPE, self._recipe(), contents], sort_keys=True, default=str)
        folder = Path(self.cache) / f"{self.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
        if (folder / "manifest.json").is_file():
            return SessionData.load(folder)
        with _scratch(folder) as scratch:
            data = prepare(self, files, item_files, scratch)
        manifest = {**data.manifest, "sources": hashes, "recipe": {"version": RECIPE, **self._recipe()}}
        return replace(data, manifest=manifest).save(folder)

    def _find_files(self) -> tuple[RawFiles, RawFiles | None]:
        separator = None if self.separator is None else _unescaped(self.separator)
        files = RawFiles.find("path", self.path, self.source)
        files = replace(files, header=self.header, separator=separator, quote=self.quote)
        if not self.items.path:
            return files, None
        return files, replace(RawFiles.find("items.path", self.items.path), quote=self.quote)

    def _recipe(self) -> dict[str, Any]:
        """The arguments that the prepared data depends on, besides the contents of the files."""
        arguments = asdict(self)
        for name in ("path", "source", "cache"):
            del arguments[name]
        del arguments["items"]["path"]
        return arguments


def prepare(log: ClickLog, files: RawFiles, item_files: RawFiles | None, scratch: Path) -> SessionData:
    """Prepares a log: files -> layout -> rows -> clicks -> rules -> split -> sessions.

    Args:
        log: The description of the log and the rules.
        files: The files of the log.
        item_files: The files of its table of items, if it has one.
        scratch: Folder for temporary files.

    Raises:
        UserError: if the files or the description are wrong, or no session is left.
    """
    items = read_items(log.items, item_files) if item_files else None
    skip = log.on_error == "skip"
    logger.info("Reading %s (%s MB)", files.name, f"{files.size / 1e6:,.1f}")
    with files.one_sentence():
        rows = read(files, log.format, skip, scratch)
        table, reading_steps = check(rows, log.format, skip)
    codes = code_items(table)
    clicks, sorting_steps = _sorted(log, table, codes, reading_steps[-1].clicks)
    counts = np.bincount(clicks.items, minlength=len(codes))
    clicks, rule_steps = apply_rules(clicks, log.rules, len(codes))
    parts = split(clicks, log.rules, len(codes), rule_steps)
    vocabulary = _vocabulary(codes, counts, parts.codes, items)
    data = SessionData(parts.train, parts.test, vocabulary)
    facts = data.facts()
    if items is not None:
        facts["titled_items"] = vocabulary.about["title"].count()
    report = [*reading_steps, *sorting_steps, *rule_steps, *parts.steps]
    manifest = {
        "name": log.name,
        "protocol": "every prefix of every session; test sessions are later in time; full ranking",
        **facts,
        "split": parts.facts,
        "steps": [asdict(step) for step in report],
    }
    return replace(data, manifest=manifest)


def _sorted(log: ClickLog, table: pl.LazyFrame, codes: pl.DataFrame, rows: int) -> tuple[Clicks, list[Step]]:
    gap = None if log.session_gap is None else times.duration("session_gap", log.session_gap)
    clicks, num_duplicates = sort(table, codes, rows, log.rules.order == "file", gap, log.rules.duplicates == "drop")
    if num_duplicates:
        return clicks, [count("without duplicate rows", clicks)]
    if gap is not None:
        return clicks, [count(f"visits cut after {log.session_gap} of inactivity", clicks)]
    return clicks, []


def _vocabulary(codes: pl.DataFrame, counts: Ints, order: Ints, items: pl.DataFrame | None) -> Vocabulary:
    """The candidates in order, with their counts, their first and last times, and the columns of the item table."""
    known = codes.select("item", pl.Series("count", counts), "first_seen", "last_seen")[order]
    if items is not None:
        known = with_titles(known, items)
    return Vocabulary(known["item"].to_list(), known.drop("item"))


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `folder`."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent)
    except OSError as error:
        raise write_error(f"the prepared data {folder}", error, "cache") from error
    with scratch as path:
        yield Path(path)


def _unescaped(character: str) -> str:
    """Turns a tab that was typed as a backslash and a t into a tab."""
    return character.replace("\\t", "\t")
