"""Any click log -> sessions: read as a stream, checked, sorted, and handed to the rules."""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from srgnn.data import times
from srgnn.data.benchmarks import PublishedSet
from srgnn.data.files import JSON, SAMPLE, TEXT, RawFiles
from srgnn.data.rules import Clicks, Rules, count
from srgnn.data.sessions import SessionData, Vocabulary
from srgnn.errors import OptionError, UserError, check_choice

RECIPE = 1  # raise it when the preparation changes: older caches are then made anew
PART = 40_000_000  # rows sorted at a time: about 3 GB
EXACT = 2**53  # integers below it are exact as floats
EXAMPLES = {"columns": "item=NAME", "items": "path=FILE", "rules": "test_days=7"}
ROLES = ("session", "item", "time", "user", "event", "order")


@dataclass(frozen=True)
class ClickLog:
    """A raw click log of any layout, and the rules that make sessions of it.

    Args:
        path: A file, a glob or a list of them: CSV, TSV, JSON lines or Parquet, plain or compressed (gz, zst).
            Where it is None, the `published` set is taken.
        name: Of the data set.
        columns: The name, or the possible names, of the columns `session`, `item`, `time`, and where there are such
            of `user`, `event`, `order` (what sorts the clicks of a session instead of the time).
        header: The names of all columns of a text file that has no header.
        separator: Of a text file; None finds it.
        quote: What encloses fields of a text file that hold separators; None where quotes are part of the text.
        nested: A column that holds the list of clicks of a row (JSON lines, Parquet).
        session_gap: Such as `30m`: without a session column, a visit of a user ends after so much inactivity.
        time_format: s, ms, us or ns since 1970, or a strftime format; None finds it.
        time_zone: Of times without a zone.
        events: The event types that count as clicks; None takes all.
        where: Rows to take, as an SQL expression over the log's own columns.
        items: `path` of a table of items, and its columns `id` and `title`; its other columns ride along.
        on_error: `raise` for a row without session, item or readable time, with more fields than the header or no
            JSON; or `skip` such rows and count them.
        rules: Arguments of :class:`~srgnn.data.rules.Rules`.
        published: The same data as published, for who has no raw log.
        source: Where the log is to be had, and under which terms.
        cache: Folder for the prepared data.
    """

    path: str | Sequence[str] | None
    name: str = "clicks"
    columns: Mapping[str, Any] = field(default_factory=dict)
    header: Sequence[str] | None = None
    separator: str | None = None
    quote: str | None = '"'
    nested: str | None = None
    session_gap: str | None = None
    time_format: str | None = None
    time_zone: str = "UTC"
    events: str | Sequence[str] | None = None
    where: str | None = None
    items: Mapping[str, Any] = field(default_factory=dict)
    on_error: str = "raise"
    rules: Mapping[str, Any] = field(default_factory=dict)
    published: PublishedSet | None = None
    source: str = ""
    cache: str = "data/prepared"

    def __post_init__(self) -> None:
        check_choice("on_error", self.on_error, ["raise", "skip"])
        if self.session_gap is not None:
            times.duration("session_gap", self.session_gap)
        for name, kind in (("columns", Mapping), ("items", Mapping), ("rules", Mapping), ("header", list | tuple)):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                what = "a list of names" if name == "header" else f"options such as {name}.{EXAMPLES[name]}"
                raise OptionError(name, value, what)
        for name in ("separator", "quote"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or len(value.replace("\\t", "\t").encode()) != 1):
                raise OptionError(name, value, "one character, or null")
        for role in self.columns:
            check_choice("columns", role, ROLES)
        try:
            self._rules  # noqa: B018  checked before anything is read
        except OptionError as error:
            raise error.within("rules") from error
        except TypeError as error:
            unknown = next((name for name in self.rules if name not in asdict(Rules())), "")
            raise OptionError("rules", unknown, "one of " + ", ".join(asdict(Rules()))) from error

    @cached_property
    def _rules(self) -> Rules:
        return Rules(**self.rules)

    @property
    def as_published(self) -> PublishedSet | None:
        """The published set where it is taken, and no log is read."""
        return self.published if self.path is None else None

    @property
    def num_items(self) -> int | None:
        """The number of candidates where it is known before the log is read."""
        return self.as_published.num_items if self.as_published else None

    def load(self) -> SessionData:
        """The sessions of the log, from the cache where it is made of the same files by the same recipe.

        Raises:
            UserError: in one sentence that says what is wrong, where, and what to do.
        """
        if self.as_published:
            return self.as_published.load()
        files, table = self._files, self._item_files
        hashes = files.hashes() | (table.hashes() if table else {})
        contents = [(part.kind, hashes[str(path)]) for part in (files, table) if part for path in part.paths]
        told = {
            key: value for key, value in asdict(self).items() if key not in ("path", "published", "cache", "source")
        }
        told["items"].pop("path", None)
        recipe = json.dumps([RECIPE, told, contents], sort_keys=True, default=str)
        folder = Path(self.cache) / f"{self.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
        if (folder / "manifest.json").is_file():
            return SessionData.load(folder)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
                data = self._prepare(files, Path(scratch), told, hashes)
        except OSError as error:
            raise UserError(
                f"Cannot write the prepared data to {self.cache} ({error.strerror or error}): free some space or name "
                "another folder with paths.cache=FOLDER."
            ) from error
        return data.save(folder)

    @property
    def _files(self) -> RawFiles:
        found = RawFiles.find("path", self.path, self.source)
        separator = self.separator and self.separator.replace("\\t", "\t")  # as one types it
        return replace(found, header=self.header, separator=separator, quote=self.quote)

    @cached_property
    def _item_files(self) -> RawFiles | None:
        if not self.items.get("path"):
            return None
        return replace(RawFiles.find("items.path", self.items["path"]), quote=self.quote)

    def _prepare(
        self, files: RawFiles, scratch: Path, told: Mapping[str, Any], hashes: Mapping[str, str]
    ) -> SessionData:
        items = self._item_table()
        print(f"Reading {files.name} ({files.size / 1e6:,.1f} MB)", flush=True)
        with files.one_sentence():
            table, steps = self._read(files, scratch)
        time = pl.col("time").cast(pl.Datetime("us", "UTC"))
        seen = table.group_by("item").agg(first_seen=time.min(), last_seen=time.max())
        codes = seen.sort("item").with_row_index("code").collect(engine="streaming")
        log, dropped = self._sorted(table, codes, steps[-1]["clicks"])
        if dropped:
            steps.append(count("without duplicate rows", log))
        elif self.session_gap is not None:
            steps.append(count(f"visits cut after {self.session_gap} of inactivity", log))
        print("Applying the rules", flush=True)
        try:
            split = self._rules.apply(log, len(codes))
        except OptionError as error:
            raise error.within("rules") from error
        clicks = pl.Series("count", np.bincount(log.items, minlength=len(codes)))
        known = codes.select("item", clicks, "first_seen", "last_seen")[split.codes]
        if items is not None:
            known = known.with_columns(id=pl.col("item").cast(pl.String))
            known = known.join(items, on="id", how="left", maintain_order="left").drop("id")
        data = SessionData(split.train, split.test, Vocabulary(known["item"].to_list(), known.drop("item")))
        facts = data.facts()
        if items is not None:
            facts["titled_items"] = known["title"].count()
        manifest = {
            "name": self.name,
            "protocol": "every prefix of every session; test sessions are later in time; full ranking",
            **facts,
            "split": split.report["split"],
            "steps": steps + split.report["steps"],
            "sources": dict(hashes),
            "recipe": {"version": RECIPE, **told, "rules": asdict(self._rules)},
        }
        return replace(data, manifest=manifest)

    # Reading: every row becomes (row, key, item, time), and order if there is such a column. The key is the session, or
    # the user whose visits are cut.

    def _read(self, files: RawFiles, scratch: Path) -> tuple[pl.LazyFrame, list[dict[str, Any]]]:
        """Writes the clicks as Parquet, and counts what was left out on the way."""
        path = scratch / "clicks.parquet"
        broken = []
        try:
            layout, table = self._write(files, path)
        except (pl.exceptions.ComputeError, _MissingColumns) as error:
            broken = [] if isinstance(error, _MissingColumns) else files.broken()
            if broken and self.on_error == "raise":
                raise UserError(self._broken(files, broken)) from None
            if not broken and files.kind not in JSON:
                raise
            files = files.without(broken, scratch) if broken else files
            files = replace(files, mixed=True)  # a field may be of another type, or be there at all, in a later row
            layout, table = self._write(files, path)
        rows = {
            "clicks": pl.len(),
            "sessions": pl.col("key").drop_nulls().n_unique(),
            "items": pl.col("item").drop_nulls().n_unique(),
        }
        steps = []

        def note(rule: str) -> dict[str, Any]:
            step = {"rule": rule, **table.select(**rows).collect(engine="streaming").row(0, named=True)}
            if self.session_gap is not None:
                step["sessions"] = None  # there are none yet
            steps.append(step)
            return step

        note("rows of the log")["clicks"] += len(broken)
        if not steps[0]["clicks"]:
            raise UserError(f"{files.name} has no rows: expected one row per click.")
        if layout.kept is not None:
            table = table.filter("kept").drop("kept")
            if not note("rows that are clicks (events, where)")["clicks"]:
                raise UserError(
                    f"No row of {files.name} is a click by dataset.events={self.events} and "
                    f"dataset.where={self.where}{self._events_found(layout)}."
                )
        bad = pl.any_horizontal(pl.col([*layout.ours]).is_null())
        number = table.select(bad.sum()).collect(engine="streaming").item()
        if number and self.on_error == "raise":
            raise UserError(self._complaint(files, layout, table))
        if number or broken:
            every, table = table, table.filter(~bad)
            if not note("readable rows (on_error=skip)")["clicks"]:
                raise UserError(self._complaint(files, layout, every) if number else self._broken(files, broken))
        return table, steps

    def _write(self, files: RawFiles, path: Path) -> tuple["_Layout", pl.LazyFrame]:
        layout = self._layout(files)
        try:
            table = layout.write(path)
        except pl.exceptions.InvalidOperationError as error:
            if self.where is None:
                raise
            why = str(error).splitlines()[0]
            raise OptionError(
                "where", self.where, f"an SQL expression that fits every row, such as with TRY_CAST ({why})"
            ) from error
        # A column that looks like integers at first, and then is not, is text.
        nulls = table.select(pl.col("key", "item").has_nulls()).collect(engine="streaming").row(0, named=True)
        for role in nulls:
            if nulls[role] and layout.has_inexact(role):
                raise UserError(
                    f"{files.name}: the column {layout.names[role]} has ids that are floats too large to be exact, "
                    f"{EXACT:,} or more: write them as integers or as text."
                )
        text = [role for role in nulls if nulls[role] and layout.has_text(role)]
        if text:
            layout = self._layout(files, text)
            table = layout.write(path)
        return layout, table

    def _layout(self, files: RawFiles, text: Sequence[str] = ()) -> "_Layout":
        """How the log's columns become ours, by its first rows; the ids of the roles in `text` are text."""
        frame = files.rows()
        if self.nested is not None:
            if self.nested not in (found := frame.collect_schema().names()):
                raise OptionError("nested", self.nested, f"one of the columns {', '.join(found)}")
            some = pl.col(self.nested).list.len() > 0
            frame = frame.filter(some).explode(self.nested).unnest(self.nested)
        sample = frame.head(SAMPLE).collect(engine="streaming")
        names = self._names(files, sample.columns)
        events = [self.events] if isinstance(self.events, str) else self.events
        kept = [pl.col(names["event"]).cast(pl.String).is_in([*map(str, events)])] if events else []
        if self.where:
            try:
                kept.append(pl.sql_expr(self.where))
                sample.filter(kept[-1])
            except pl.exceptions.PolarsError as error:
                why = str(error).splitlines()[0]
                if isinstance(error, pl.exceptions.ColumnNotFoundError) and files.kind in JSON and not files.mixed:
                    raise _MissingColumns(why) from error
                raise OptionError(
                    "where",
                    self.where,
                    f"an SQL expression over the columns {', '.join(sample.columns)}; those of CSV are text, which "
                    f"CAST(x AS BIGINT) makes numbers ({why})",
                ) from error
        ours = {role: _id(sample[names[role]], role in text) for role in ("key", "item")}
        ours["time"] = times.reader(sample[names["time"]], self.time_format, self.time_zone)
        if "order" in names:
            ours["order"] = _number(sample[names["order"]])
        return _Layout(frame, names, ours, pl.all_horizontal(kept).fill_null(False) if kept else None)

    def _names(self, files: RawFiles, found: Sequence[str]) -> dict[str, str]:
        """Which column plays which role."""
        wanted = {
            role: [*map(str, names if isinstance(names, list | tuple) else [names])]
            for role, names in self.columns.items()
            if names is not None
        }
        chosen = {role: next((name for name in names if name in found), None) for role, names in wanted.items()}
        key = "user" if self.session_gap is not None else "session"
        needed = [key, "item", "time", *(["event"] if self.events else []), *(["order"] if "order" in wanted else [])]
        missing = [role for role in needed if chosen.get(role) is None]
        if missing:
            hints = " ".join(f"dataset.columns.{role}=NAME" for role in missing)
            gap = ""
            if "session" in missing:
                gap = ", or cut the visits of a user by time with dataset.columns.user=NAME dataset.session_gap=30m"
            expected = ", ".join(" or ".join(wanted.get(role) or [role]) for role in needed)
            raise _MissingColumns(
                f"{files.name}: expected the columns {expected}; found {', '.join(found)}. Name yours with "
                f"{hints}{gap}."
            )
        return {"key": str(chosen[key]), **{role: str(chosen[role]) for role in needed[1:]}}

    # Sorting

    def _sorted(self, table: pl.LazyFrame, codes: pl.DataFrame, rows: int) -> tuple[Clicks, int]:
        """The clicks session by session, and how many duplicate rows were dropped.

        Large logs are sorted in parts, which whole sessions fall into: memory grows with the result alone.
        """
        parts = -(-rows // PART)
        order = "order" if self.columns.get("order") else "time"
        by_file = self._rules.order == "file" and order == "time"
        by = ["key", "row"] if by_file else ["key", order, "row"]
        coded = table.join(codes.lazy().select("item", "code"), on="item", how="left")
        done, dropped = [], 0
        for part in range(parts):
            print(f"Sorting {rows:,} clicks" + (f", part {part + 1} of {parts}" if parts > 1 else ""), flush=True)
            mine = coded if parts == 1 else coded.filter(pl.col("key").hash(seed=0) % parts == part)
            if self.session_gap is not None:
                mine = _cut(mine, times.duration("session_gap", self.session_gap))
            frame = mine.sort(by).drop("item").collect(engine="streaming")
            if self._rules.duplicates == "drop":
                height = frame.height
                frame = _without_duplicates(frame, order=None if by_file else order)
                dropped += height - frame.height
            done.append(self._sessions(frame))
        return Clicks.concatenate(done), dropped

    def _sessions(self, frame: pl.DataFrame) -> Clicks:
        new = pl.col("key").ne(pl.col("key").shift()).fill_null(True)
        start = np.flatnonzero(frame.select(new).to_series().to_numpy())
        ptr = np.append(start, frame.height)
        when, rows = frame["time"].to_numpy(), frame["row"].to_numpy()
        began = np.minimum.reduceat(when, start)
        if self._rules.order == "file":
            last = rows == np.repeat(np.maximum.reduceat(rows, start), np.diff(ptr))
            when = when[last] // 1_000_000 * 1_000_000
        else:
            when = np.maximum.reduceat(when, start)
        items = frame["code"].to_numpy().astype(np.int32)
        return Clicks(items, ptr, when, began, np.minimum.reduceat(rows, start).astype(np.int64))

    # Items

    def _item_table(self) -> pl.DataFrame | None:
        """The item table, with the columns `id` and `title` named so."""
        if self._item_files is None:
            return None
        with self._item_files.one_sentence():
            table = self._item_files.rows().collect(engine="streaming")
        columns = {"id": self.items.get("id") or "id", "title": self.items.get("title") or "title"}
        for role, name in columns.items():
            if name not in table.columns:
                raise UserError(
                    f"{self._item_files.name}: expected the column {name}; found {', '.join(table.columns)}. Name "
                    f"yours with dataset.items.{role}=NAME."
                )
        ids = table.select(_id(table[columns["id"]], as_text=False).cast(pl.String)).to_series()
        others = table.drop(columns.values())
        for name in {"index", "id", "title", "count", "first_seen", "last_seen", "item"} & {*others.columns}:
            free = f"item_{name}"
            while free in others.columns:
                free = f"item_{free}"
            others = others.rename({name: free})
        table = others.with_columns(ids.alias("id"), table[columns["title"]].cast(pl.String).alias("title"))
        return table.select("id", "title", *others.columns).unique("id", keep="first", maintain_order=True)

    # What is wrong

    def _complaint(self, files: RawFiles, layout: "_Layout", table: pl.LazyFrame) -> str:
        """How many rows cannot be read, and the first three of each kind with their lines."""
        kinds = []
        key = "no session" if self.session_gap is None else "no user"
        what = {"key": key, "item": "no item", "time": "a time that cannot be read", "order": "no number to order by"}
        rows, *nulls = table.select(pl.len(), pl.col([*layout.ours]).null_count()).collect(engine="streaming").row(0)
        for role, some in zip(layout.ours, nulls, strict=True):
            if some:
                kinds.append(f"{some:,} have {what[role]} ({self._examples(files, layout, role)})")
        return (
            f"{files.name}: of {rows:,} rows, {'; '.join(kinds)}. "
            f"Mend them, or name another format of the times with dataset.time_format{self._or_skip()}."
        )

    def _broken(self, files: RawFiles, broken: Sequence[tuple[Path, int, str]]) -> str:
        what = "lines that are no JSON objects" if files.kind in JSON else "lines with more fields than the header"
        lines = ", ".join(f"{path.name} line {number}: {line[:60]!r}" for path, number, line in broken[:3])
        return f"{files.name} has {what}: {len(broken):,} ({lines}). Mend them{self._or_skip()}."

    def _or_skip(self) -> str:
        return ", or leave them out with dataset.on_error=skip" if self.on_error == "raise" else ""

    def _examples(self, files: RawFiles, layout: "_Layout", role: str) -> str:
        found: list[str] = []
        unit = "click" if self.nested else "line" if files.kind in TEXT else "row"
        for path, named in zip(files.paths, files.named or files.paths, strict=True):
            one = replace(files, paths=(path,))
            file = "" if len(files.paths) == 1 else f"{named.name} "
            if layout.names[role] not in one.rows().collect_schema() and self.nested is None:
                found.append(f"{file}has no column {layout.names[role]}")
                continue
            frame = self._layout(one).frame.with_row_index("_line", 1) if self.nested else one.rows(numbered=True)
            wrong = layout.ours[role].is_null() & (True if layout.kept is None else layout.kept)
            some = frame.filter(wrong).select("_line", pl.col(layout.names[role]).cast(pl.String))
            for line, text in some.head(max(0, 3 - len(found))).collect(engine="streaming").iter_rows():
                found.append(f"{file}{unit} {line}: {'nothing' if text is None else repr(text)}")
        return ", ".join(found[:3])

    def _events_found(self, layout: "_Layout") -> str:
        if not self.events:
            return ""
        event = pl.col(layout.names["event"]).cast(pl.String)
        found = layout.frame.select(event.unique()).head(10).collect(engine="streaming").to_series().sort()
        return "; it has the events " + ", ".join(map(str, found))


class _MissingColumns(UserError):
    pass


@dataclass(frozen=True)
class _Layout:
    """How the log's own columns become ours: `names` and expressions by role, and the rows that are clicks."""

    frame: pl.LazyFrame
    names: Mapping[str, str]
    ours: Mapping[str, pl.Expr]
    kept: pl.Expr | None

    def write(self, path: Path) -> pl.LazyFrame:
        columns = dict(self.ours) if self.kept is None else {**self.ours, "kept": self.kept}
        self.frame.select(**columns).with_row_index("row").sink_parquet(path, compression="lz4")
        return pl.scan_parquet(path)

    def has_text(self, role: str) -> bool:
        """Whether an id is there that our expression cannot read."""
        raw = pl.col(self.names[role])
        raw = raw.fill_nan(None) if self._is_float(role) else raw
        return self._any(self.ours[role].is_null() & raw.cast(pl.String).ne(""))

    def has_inexact(self, role: str) -> bool:
        """Whether two ids may have become one float."""
        return self._is_float(role) and self._any(pl.col(self.names[role]).fill_nan(None).abs() >= EXACT)

    def _is_float(self, role: str) -> bool:
        return self.frame.collect_schema()[self.names[role]].is_float()

    def _any(self, condition: pl.Expr) -> bool:
        return bool(self.frame.filter(condition).head(1).collect(engine="streaming").height)


def _id(sample: pl.Series, as_text: bool) -> pl.Expr:
    """The expression that reads ids: integers where all of the sample are, else text; null where there is none."""
    column = pl.col(sample.name)
    if sample.dtype.is_integer():
        return column
    if sample.dtype.is_float():
        column = column.fill_nan(None)
        if not as_text:  # as pandas writes integers beside missing ones
            whole = (column == column.floor()) & (column.abs() < EXACT)
            return pl.when(whole).then(column.cast(pl.Int64, strict=False))
    text = column.cast(pl.String)
    # "007" and "+7" are other ids than 7.
    other = text.str.starts_with("0") & (text != "0") | text.str.starts_with("+") | text.str.starts_with("-0")
    number = pl.when(~other).then(text.cast(pl.Int64, strict=False))
    values = sample.drop_nulls().to_frame()
    if not as_text and values.height and not values.select(number.has_nulls()).item():
        return number
    return pl.when(text != "").then(text)


def _number(sample: pl.Series) -> pl.Expr:
    """The expression that reads a number: integers where all of the sample are, else floats."""
    column = pl.col(sample.name)
    if sample.dtype.is_integer():
        return column
    if not sample.dtype.is_numeric():  # text, or categories of text
        column, text = column.cast(pl.String), sample.cast(pl.String)
        if text.cast(pl.Int64, strict=False).null_count() == text.null_count():
            return column.cast(pl.Int64, strict=False)
    return column.cast(pl.Float64, strict=False).fill_nan(None)


def _cut(table: pl.LazyFrame, gap: int) -> pl.LazyFrame:
    """Numbers the visits of every user: the key becomes the visit."""
    new = (pl.col("key") != pl.col("key").shift()) | (pl.col("time").diff() > gap)
    return table.sort("key", "time", "row").with_columns(key=new.fill_null(True).cum_sum())


def _without_duplicates(frame: pl.DataFrame, order: str | None) -> pl.DataFrame:
    """Drops clicks that repeat session, item, time and order.

    In rows that are sorted by session and `order` only neighbours are compared: they are few.
    """
    frame = frame.with_row_index("_index")
    ties = frame
    if order is not None:
        same = pl.all_horizontal(pl.col("key", order).eq(pl.col("key", order).shift())).fill_null(False)
        ties = frame.filter(same | same.shift(-1, fill_value=False))
    again = ties.filter(~pl.struct(pl.exclude("_index", "row")).is_first_distinct())["_index"]
    keep = np.ones(frame.height, bool)
    keep[again.to_numpy()] = False
    return frame.drop("_index").filter(pl.Series(keep))
