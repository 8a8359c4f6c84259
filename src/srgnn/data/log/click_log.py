"""The description of a click log of any layout, and the cache of its sessions."""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from srgnn.data.log.arguments import check_dialect, check_names, check_text, unescaped
from srgnn.data.log.columns import times
from srgnn.data.log.columns.ids import MISSING
from srgnn.data.log.columns.layout import Columns, LogFormat
from srgnn.data.log.engines import Engine
from srgnn.data.log.engines.on_polars import Polars
from srgnn.data.log.items import ItemTable
from srgnn.data.log.prepare import prepare
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import PathName, PathNames, check_kinds, find_files, kind_of
from srgnn.data.log.rules import Rules
from srgnn.data.log.vectors import with_vectors
from srgnn.data.sessions import SessionData
from srgnn.errors import UserError, check_bool, check_choice
from srgnn.saving import temporary_folder

RECIPE = 7  # increase it when the preparation changes, so that older caches are no longer used
# The arguments that the prepared data does not depend on.
NO_RECIPE = ("path", "test_path", "source", "cache", "engine", "strict")


@dataclass(frozen=True)
class ClickLog:
    """A raw click log of any layout, and the rules that turn it into sessions.

    Args:
        path: A file, a glob or a list of them: CSV, TSV, JSON lines or Parquet, plain or compressed (gz, zst).
        name: Name of the data set.
        columns: The names of the log's columns.
        header: The names of all columns of a text file, which replace a header that it has; None takes that.
        separator: Field separator of a text file; None detects it. Several characters, such as `::`, need quote=None.
        quote: The character around fields that hold separators; None where quotes are part of the text.
        encoding: Encoding of a text file.
        nested: A column of lists of clicks or items, or of text such as `[1, 2]`; None if a row is one click.
        session_gap: The inactivity that ends a visit, such as `30m`, for logs with users instead of sessions.
        time_format: s, ms, us or ns since 1970, or a strftime format; None detects it.
        time_zone: The time zone of times that do not give one.
        events: The event types that count as clicks; None takes all.
        where: The rows to take, as an SQL expression over the log's own columns; None takes all.
        missing: The words that stand for a missing id or title, besides empty text; an empty list keeps them as ids.
        items: The table of items with their titles, and their vectors.
        on_error: `raise` an error for a row without session, item or readable time, with more fields than the header,
            or that is not JSON; or `skip` and count such rows.
        rules: The rules that turn the log into sessions.
        test_path: Files of the test set in the layout of `path`, for a log that is split already; None splits it by
            the rules.
        source: Where the log can be downloaded, and under which terms.
        engine: The engine that runs the rules; all give the same sessions.
        strict: Whether warnings about the log are errors.
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
    encoding: str = "utf-8"
    nested: str | None = None
    session_gap: str | None = None
    time_format: str | None = None
    time_zone: str = "UTC"
    events: str | Sequence[str] | None = None
    where: str | None = None
    missing: str | Sequence[str] | None = MISSING
    items: ItemTable = field(default_factory=ItemTable)
    on_error: str = "raise"
    rules: Rules = field(default_factory=Rules)
    test_path: PathNames | None = None
    source: str = ""
    engine: Engine = field(default_factory=Polars)
    strict: bool = False
    cache: PathName = "data/prepared"

    def __post_init__(self) -> None:
        check_choice("on_error", self.on_error, ["raise", "skip"])
        check_bool("strict", self.strict)
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
        for rule, value, neutral in (
            ("test_from", self.rules.test_from, None),
            ("boundary", self.rules.boundary, "train"),
        ):
            if self.test_path is not None and value != neutral:
                default = "null" if neutral is None else neutral
                text = f"rules.{rule}={value}: expected {default}, because test_path= names the test set."
                raise UserError(text, f"rules.{rule}", "test_path")
        check_names("events", self.events, "view")
        check_names("missing", self.missing, "NULL")
        check_text("nested", self.nested, "events", optional=True)
        check_text("time_format", self.time_format, "ms or '%d.%m.%Y %H:%M'", optional=True)
        check_text("time_zone", self.time_zone, "UTC or Europe/Berlin")
        check_text("where", self.where, "'price IS NOT NULL'", optional=True)
        if not isinstance(self.cache, os.PathLike):
            check_text("cache", self.cache, "data/prepared")
        check_dialect(self.header, self.separator, self.quote, self.encoding)

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
            missing=self.missing,
        )

    def load(self) -> SessionData:
        """Returns the sessions of the log, from the cache if it holds the same files prepared with the same arguments.

        Raises:
            UserError: if it cannot be prepared; the message says what is wrong, where, and what to do.
        """
        files, item_files, vector_files = self._find_files()
        data = self._prepared(files, item_files)
        data = data if vector_files is None else with_vectors(data, vector_files)
        notices = data.manifest["notices"]
        if self.strict and notices:
            arguments = [argument for notice in notices for argument in notice["arguments"]]
            found = " ".join(notice["text"] for notice in notices)
            raise UserError(f"The log has warnings, and strict=true makes them errors: {found}", "strict", *arguments)
        return data

    def _prepared(self, files: RawFiles, item_files: RawFiles | None) -> SessionData:
        hashes = files.hashes() | (item_files.hashes() if item_files else {})
        contents: list[Any] = [
            (kind_of(path), hashes[str(path)]) for part in (files, item_files) if part for path in part.paths
        ]
        contents += [files.num_test] if files.num_test else []
        recipe = json.dumps([RECIPE, self._recipe(), contents], sort_keys=True, default=str)
        folder = Path(self.cache) / f"{self.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
        if folder.is_dir():
            return _with_names(SessionData.load(folder), [*hashes])
        self.engine.check_files(files)
        with temporary_folder(folder, "the prepared data", "cache") as scratch, self.engine.start(scratch) as tables:
            data = prepare(self, files, item_files, tables)
            manifest = {**data.manifest, "sources": hashes, "recipe": {"version": RECIPE, **self._recipe()}}
            return replace(data, manifest=manifest).save(folder)

    def _find_files(self) -> tuple[RawFiles, RawFiles | None, RawFiles | None]:
        separator = None if self.separator is None else unescaped(self.separator)
        paths = find_files("path", self.path, self.source)
        files = RawFiles(paths, self.header, separator, self.quote, encoding=self.encoding)
        if self.test_path is not None:
            test_files = RawFiles(find_files("test_path", self.test_path))
            check_kinds("test_path", files.paths + test_files.paths)
            files = replace(files, paths=files.paths + test_files.paths, num_test=len(test_files.paths))
        return files, self.items.files(), self.items.vector_files()

    def _recipe(self) -> dict[str, Any]:
        """The arguments that the prepared data depends on, besides the contents of the files."""
        arguments = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in NO_RECIPE}
        arguments |= {name: asdict(arguments[name]) for name in ("columns", "items", "rules")}
        del arguments["items"]["path"], arguments["items"]["vectors"]
        return arguments


def _with_names(data: SessionData, paths: Sequence[str]) -> SessionData:
    """Prepared data whose warnings name the files by their present paths, since they may have had others."""
    named = {old: new for old, new in zip(data.manifest["sources"], paths, strict=True) if old != new}
    bases = Counter(Path(old).name for old in data.manifest["sources"])
    names = {Path(old).name: Path(new).name for old, new in named.items() if bases[Path(old).name] == 1} | named
    if not names:
        return data
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w.-])({'|'.join(map(re.escape, longest_first))})(?![\w-])")
    notices = [
        notice | {"text": pattern.sub(lambda match: names[match[0]], notice["text"])}
        for notice in data.manifest["notices"]
    ]
    return replace(data, manifest=data.manifest | {"notices": notices})
