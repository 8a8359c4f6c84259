"""Any click log -> sessions: read as a stream, checked, sorted, and handed to the rules."""

import glob
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from srgnn.data.benchmarks import PublishedSet
from srgnn.data.rules import Clicks, Rules, count, duration
from srgnn.data.sessions import SessionData, Vocabulary
from srgnn.errors import OptionError, UserError, check_choice

RECIPE = 1  # raise it when the preparation changes: older caches are then made anew
PART = 40_000_000  # rows sorted at a time: about 3 GB
TEXT = {".csv": ",", ".tsv": "\t", ".dat": ",", ".txt": ","}
KINDS = (*TEXT, ".jsonl", ".ndjson", ".parquet")
PACKED = (".gz", ".zst")
SAMPLE = 1000  # rows that tell the types of the columns
ZONED = r"(Z|[+-]\d\d:?\d\d)$"
ISO = (
    *("%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f%#z"),
    *("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f UTC", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d"),
    *("%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%Y%m%d"),
)
UNITS = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 0.001}  # of epoch times, in µs
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
        nested: A column that holds the list of clicks of a row (JSON lines, Parquet).
        session_gap: Such as `30m`: without a session column, a visit of a user ends after so much inactivity.
        time_format: s, ms, us or ns since 1970, or a strftime format; None finds it.
        time_zone: Of times without a zone.
        events: The event types that count as clicks; None takes all.
        where: Rows to take, as an SQL expression over the log's own columns.
        items: `path` of a table of items, and its columns `id` and `title`; its other columns ride along.
        on_error: `raise` for a row without session, item or readable time, or `skip` and count it.
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
    nested: str | None = None
    session_gap: str | None = None
    time_format: str | None = None
    time_zone: str = "UTC"
    events: Sequence[str] | None = None
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
            duration("session_gap", self.session_gap)
        try:
            Rules(**self.rules)
        except OptionError as error:
            raise error.within("rules") from error
        except TypeError as error:
            raise OptionError("rules", dict(self.rules), "the rules " + ", ".join(asdict(Rules()))) from error
        for role in self.columns:
            check_choice("columns", role, ROLES)

    @property
    def num_items(self) -> int | None:
        """The number of candidates where it is known before the log is read."""
        return self.published.num_items if self.published and self.path is None else None

    def load(self) -> SessionData:
        """The sessions of the log, from the cache where it is made of the same files by the same recipe.

        Raises:
            UserError: in one sentence that says what is wrong, where, and what to do.
        """
        if self.path is None and self.published is not None:
            return self.published.load()
        hashes = {path.name: _hash(path) for path in [*self.files, *self._item_table]}
        told = {
            key: value for key, value in asdict(self).items() if key not in ("path", "published", "cache", "source")
        }
        recipe = json.dumps([RECIPE, told, list(hashes.values())], sort_keys=True, default=str)
        folder = Path(self.cache) / f"{self.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
        if (folder / "manifest.json").is_file():
            return SessionData.load(folder)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
                data = self._prepare(Path(scratch), told, hashes)
        except OSError as error:
            raise self._unwritable(error) from error
        data.save(folder)
        return data

    @cached_property
    def files(self) -> list[Path]:
        """The files of `path`, sorted by name."""
        return _files("path", self.path, self.source)

    @property
    def _item_table(self) -> list[Path]:
        return _files("items.path", self.items["path"]) if self.items.get("path") else []

    def _prepare(self, scratch: Path, told: Mapping[str, Any], hashes: Mapping[str, str]) -> SessionData:
        megabytes = sum(path.stat().st_size for path in self.files) / 1e6
        print(f"Reading {', '.join(path.name for path in self.files[:3])} ({megabytes:,.1f} MB)", flush=True)
        table, steps = self._read(scratch / "clicks.parquet")
        codes = table.select("item").unique().sort("item").with_row_index("code").collect(engine="streaming")
        log, dropped = self._sorted(table, codes)
        if dropped:
            steps.append(count("without duplicate rows", log))
        elif self.session_gap is not None:
            steps.append(count(f"visits cut after {self.session_gap} of inactivity", log))
        split = Rules(**self.rules).apply(log, len(codes))
        ids = codes["item"].gather(split.codes)
        vocabulary = Vocabulary(ids.to_list(), self._titled(ids, split.seen))
        data = SessionData(split.train, split.test, vocabulary)
        manifest = {
            "name": self.name,
            "protocol": "every prefix of every session; test sessions are later in time; full ranking",
            "counts": data.counts | {"trained_items": len(split.train.items.unique())},
            **split.report,
            "steps": steps + split.report["steps"],
            "sources": dict(hashes),
            "recipe": {"version": RECIPE, **told, "rules": asdict(Rules(**self.rules))},
        }
        return SessionData(split.train, split.test, vocabulary, manifest)

    # Reading

    def _read(self, path: Path) -> tuple[pl.LazyFrame, list[dict[str, Any]]]:
        """Writes the clicks (row, key, item, time, order) as Parquet, and counts what was left out on the way."""
        layout = self._layout(frozenset())
        table = self._write(layout, path)
        # A column that looks like integers and then is not, is text: it is read once more.
        raw = self._scan(self.files, {})
        text = frozenset(
            name
            for name, role in ((layout.names[role], role) for role in ("key", "item"))
            if name in layout.types
            and table.select(pl.col(role).has_nulls()).collect(engine="streaming").item()
            and raw.filter(pl.col(name) != "", pl.col(name).cast(pl.Int64, strict=False).is_null())
            .head(1)
            .collect(engine="streaming")
            .height
        )
        if text:
            layout = self._layout(text)
            table = self._write(layout, path)
        bad = pl.any_horizontal(pl.col("key", "item", "time", "order").is_null())
        rows = {"clicks": pl.len(), "sessions": pl.col("key").n_unique(), "items": pl.col("item").n_unique()}
        steps = []

        def note(rule: str) -> dict[str, Any]:
            step = {"rule": rule, **table.select(**rows).collect(engine="streaming").row(0, named=True)}
            if self.session_gap is not None:
                step["sessions"] = None  # there are none yet
            steps.append(step)
            return step

        if not note("rows of the log")["clicks"]:
            raise UserError(f"{self.files[0]} has no rows: expected one row per click.")
        if layout.kept is not None:
            table = table.filter("kept")
            if not note("rows that are clicks (events, where)")["clicks"]:
                raise UserError(
                    f"No row of {self.files[0].name} is a click by dataset.events={self.events} and "
                    f"dataset.where={self.where}{self._events_found(layout)}."
                )
        if number := table.select(bad.sum()).collect(engine="streaming").item():
            if self.on_error == "raise" or number == steps[-1]["clicks"]:
                raise UserError(self._complaint(layout, table, number, steps[-1]["clicks"]))
            table = table.filter(~bad)
            note("readable rows (on_error=skip)")
        return table, steps

    def _write(self, layout: "_Layout", path: Path) -> pl.LazyFrame:
        columns = [layout.key.alias("key"), layout.item.alias("item"), layout.time.alias("time")]
        order = layout.time if layout.order is None else layout.order
        columns.append(order.alias("order"))
        if layout.kept is not None:
            columns.append(layout.kept.fill_null(False).alias("kept"))
        with self._one_sentence():
            layout.frame.with_row_index("row").select("row", *columns).sink_parquet(path, compression="lz4")
        return pl.scan_parquet(path)

    def _layout(self, text: frozenset[str]) -> "_Layout":
        """Finds columns, types and the format of the times in the first rows."""
        with self._one_sentence():
            sample = self._scan(self.files[:1], {}).head(SAMPLE).collect(engine="streaming")
        names = self._names(sample.columns)
        types = {}
        for role, name in names.items():
            column = sample[name].drop_nulls()
            if column.dtype == pl.String and role in ("key", "item", "order") and name not in text:
                number = column.cast(pl.Int64, strict=False)
                if len(column) and (number.cast(pl.String) == column).all():  # "007" is not a number
                    types[name] = pl.Int64
        time = sample[names["time"]]
        frame = self._scan(self.files, types)
        kept = [pl.col(names["event"]).cast(pl.String).is_in([*map(str, self.events)])] if self.events else []
        if self.where:
            try:
                kept.append(pl.sql_expr(self.where))
                sample.filter(kept[-1])
            except pl.exceptions.PolarsError as error:
                raise OptionError(
                    "where", self.where, f"an SQL expression over the columns {', '.join(sample.columns)} ({error})"
                ) from error
        order = pl.col(names["order"]) if "order" in names else None
        return _Layout(
            frame,
            names,
            types,
            key=_id(names["key"], frame),
            item=_id(names["item"], frame),
            time=self._time(time),
            order=None if order is None else order.cast(pl.Int64, strict=False),
            kept=pl.all_horizontal(kept) if kept else None,
        )

    def _scan(self, files: Sequence[Path], types: Mapping[str, Any]) -> pl.LazyFrame:
        """The rows of the files as they are, one per click; text stays text but for the columns of `types`."""
        kind = _kind(files[0])
        if kind in TEXT:
            header = self.header
            frame = pl.scan_csv(
                files,
                has_header=header is None,
                separator=self.separator or self._separator,
                infer_schema=False,
                **({"schema_overrides": dict(types)} if header is None else {}),
                **({"schema": {name: types.get(name, pl.String) for name in header}} if header is not None else {}),
                ignore_errors=bool(types),
                truncate_ragged_lines=True,
                glob=False,
            )
        elif kind == ".parquet":
            frame = pl.scan_parquet(files, glob=False)
        else:
            frame = pl.scan_ndjson(files, infer_schema_length=SAMPLE)
        if self.nested is None:
            return frame
        if self.nested not in (found := frame.collect_schema().names()):
            raise OptionError("nested", self.nested, f"one of the columns {', '.join(found)}")
        return frame.explode(self.nested).unnest(self.nested)

    @cached_property
    def _separator(self) -> str:
        if _kind(self.files[0]) == ".tsv":
            return "\t"
        first = pl.scan_csv(self.files[0], has_header=False, separator="\x01", infer_schema=False, glob=False)
        line = first.head(1).collect(engine="streaming").item()
        return max((",", ";", "\t", "|"), key=(line or "").count)

    def _names(self, found: Sequence[str]) -> dict[str, str]:
        """Which column plays which role; `key` is the session, or the user where visits are cut by time."""
        wanted = {role: [name] if isinstance(name, str) else list(name) for role, name in self.columns.items() if name}
        chosen = {role: next((name for name in names if name in found), None) for role, names in wanted.items()}
        key = "user" if self.session_gap is not None else "session"
        needed = [key, "item", "time", *(["event"] if self.events else []), *(["order"] if "order" in wanted else [])]
        missing = [role for role in needed if chosen.get(role) is None]
        if missing:
            hints = " ".join(f"dataset.columns.{role}=NAME" for role in missing)
            gap = ""
            if key in missing and key == "session":
                gap = ", or cut the visits of a user by time with dataset.columns.user=NAME dataset.session_gap=30m"
            expected = ", ".join(" or ".join(wanted.get(role) or [role]) for role in needed)
            raise UserError(
                f"{self.files[0].name}: expected the columns {expected}; found {', '.join(found)}. Name yours with "
                f"{hints}{gap}."
            )
        return {"key": str(chosen[key]), **{role: str(chosen[role]) for role in needed[1:]}}

    def _time(self, sample: pl.Series) -> pl.Expr:
        """µs since 1970 in UTC; null where it cannot be read."""
        column = pl.col(sample.name)
        if sample.dtype.is_temporal():
            column = column.cast(pl.Datetime("us", getattr(sample.dtype, "time_zone", None)))
            return self._utc(column, getattr(sample.dtype, "time_zone", None) is not None)
        values = sample.drop_nulls()
        numbers = values.cast(pl.Float64, strict=False)
        if self.time_format in UNITS or (
            self.time_format is None and len(numbers) and (numbers.is_not_null() & (numbers.abs() > 99_999_999)).all()
        ):
            unit = self.time_format or _unit(float(numbers.abs().median()))
            whole = values.dtype.is_integer() or not values.cast(pl.String).str.contains(r"[.eE]").any()
            if whole and unit != "ns":
                return column.cast(pl.Int64, strict=False) * UNITS[unit]
            return (column.cast(pl.Float64, strict=False) * UNITS[unit]).round().cast(pl.Int64, strict=False)
        text = values.cast(pl.String)
        formats = [self.time_format] if self.time_format else ISO

        def read(name: str) -> int:
            try:
                return int(text.str.to_datetime(name, strict=False).is_not_null().sum())
            except pl.exceptions.PolarsError as error:
                raise OptionError("time_format", name, f"s, ms, us, ns or a strftime format ({error})") from error

        best = max(formats, key=read)  # the first of equals
        if not read(best) and len(text):
            raise UserError(
                f"{self.files[0].name}: the times in the column {sample.name} cannot be read, such as {text[0]!r}: "
                "name their format with dataset.time_format=s, ms, us, ns or a strftime format like '%d.%m.%Y %H:%M'."
            )
        parsed = column.cast(pl.String).str.to_datetime(best, time_unit="us", strict=False)
        return self._utc(parsed, zoned=best.endswith(("%#z", "%z", "Z", "UTC")) or best == "%+")

    def _utc(self, time: pl.Expr, zoned: bool) -> pl.Expr:
        if not zoned and self.time_zone != "UTC":
            try:
                time = time.dt.replace_time_zone(self.time_zone, ambiguous="earliest", non_existent="null")
                pl.select(pl.lit(0).cast(pl.Datetime("us")).dt.replace_time_zone(self.time_zone))
            except pl.exceptions.PolarsError as error:
                raise OptionError("time_zone", self.time_zone, "a name such as UTC or Europe/Berlin") from error
        return time.dt.epoch("us")

    # Sorting

    def _sorted(self, table: pl.LazyFrame, codes: pl.DataFrame) -> tuple[Clicks, int]:
        """The clicks session by session, and how many duplicate rows were dropped.

        Large logs are sorted in parts, which whole sessions fall into: memory grows with the result alone.
        """
        rows = table.select(pl.len()).collect(engine="streaming").item()
        parts = -(-rows // PART)
        coded = table.join(codes.lazy(), on="item", how="left")
        done, dropped = [], 0
        for part in range(parts):
            mine = coded if parts == 1 else coded.filter(pl.col("key").hash(seed=0) % parts == part)
            by = ["key", "row"] if self._by_file else ["key", "order", "row"]
            frame = mine.sort(by).select("key", "code", "time", "order", "row").collect(engine="streaming")
            if Rules(**self.rules).duplicates == "drop":
                height = frame.height
                frame = _without_duplicates(frame)
                dropped += height - frame.height
            done.append(self._sessions(frame))
        offsets = np.cumsum([0, *(len(part.items) for part in done)])
        ptr = [part.ptr[:-1] + offset for part, offset in zip(done, offsets, strict=False)]
        whole = {name: np.concatenate([getattr(part, name) for part in done]) for name in _FLAT}
        return Clicks(ptr=np.concatenate([*ptr, offsets[-1:]]), **whole), dropped

    @property
    def _by_file(self) -> bool:
        return Rules(**self.rules).order == "file" and not self.columns.get("order")

    def _sessions(self, frame: pl.DataFrame) -> Clicks:
        new = pl.col("key").ne_missing(pl.col("key").shift())
        if self.session_gap is not None:
            new |= pl.col("time").diff() > duration("session_gap", self.session_gap)
        starts = frame.select(new.fill_null(True)).to_series().to_numpy().copy()
        starts[:1] = True
        start = np.flatnonzero(starts)
        ptr = np.append(start, frame.height)
        times, rows = frame["time"].to_numpy(), frame["row"].to_numpy()
        if Rules(**self.rules).order == "file":
            latest = np.maximum.reduceat(rows, start)
            when = times[rows == np.repeat(latest, np.diff(ptr))] // 1_000_000 * 1_000_000
        else:
            when = np.maximum.reduceat(times, start)
        items = frame["code"].to_numpy().astype(np.int32)
        began = np.minimum.reduceat(times, start)
        return Clicks(items, times, ptr, when, began, np.minimum.reduceat(rows, start).astype(np.int64))

    # Items

    def _titled(self, ids: pl.Series, seen: pl.DataFrame) -> pl.DataFrame:
        """What is known of the items: when they were seen, and the columns of the item table."""
        if not self._item_table:
            return seen
        path = self._item_table[0]
        with self._one_sentence(path):
            kind = _kind(path)
            if kind in TEXT:
                table = pl.read_csv(path, infer_schema=False, separator="\t" if kind == ".tsv" else ",")
            else:
                table = pl.read_parquet(path) if kind == ".parquet" else pl.read_ndjson(path)
        columns = {"id": self.items.get("id") or "id", "title": self.items.get("title") or "title"}
        for role, name in columns.items():
            if name not in table.columns:
                raise UserError(
                    f"{path.name}: expected the column {name}; found {', '.join(table.columns)}. Name yours with "
                    f"dataset.items.{role}=NAME."
                )
        table = table.rename({name: role for role, name in columns.items()}, strict=False)
        table = table.with_columns(pl.col("id").cast(pl.String)).unique("id", keep="first", maintain_order=True)
        found = pl.DataFrame({"id": ids.cast(pl.String)}).join(table, on="id", how="left", maintain_order="left")
        return seen.hstack(found.drop("id", *(name for name in seen.columns if name in found.columns)))

    # What is wrong

    def _complaint(self, layout: "_Layout", table: pl.LazyFrame, number: int, rows: int) -> str:
        """How many rows cannot be read, and the first three of each kind with their lines."""
        kinds = []
        names = layout.names
        for role, what in (("key", "no session"), ("item", "no item"), ("time", "a time that cannot be read")):
            wrong = table.filter(pl.col(role).is_null())
            some = wrong.select(pl.len()).collect(engine="streaming").item()
            if some:
                if role == "key" and self.session_gap is not None:
                    what = "no user"
                kinds.append(f"{some:,} have {what} ({self._examples(layout, names[role], getattr(layout, role))})")
        return (
            f"{self.files[0].name if len(self.files) == 1 else self.path}: of {rows:,} rows, {'; '.join(kinds)}. "
            "Mend them, name another format of the times with dataset.time_format, or leave these "
            f"{number:,} rows out with dataset.on_error=skip."
        )

    def _examples(self, layout: "_Layout", name: str, parsed: pl.Expr) -> str:
        found: list[str] = []
        before = 1 + (self.header is None and _kind(self.files[0]) in TEXT)
        for path in self.files:
            frame = self._scan([path], layout.types if name not in layout.types else {}).with_row_index("_line", before)
            wrong = parsed.is_null() if name not in layout.types else pl.col(name).is_null()
            if layout.kept is not None:
                wrong &= layout.kept.fill_null(False)
            head = frame.filter(wrong).select("_line", pl.col(name).cast(pl.String)).head(3 - len(found))
            file = "" if len(self.files) == 1 else f"{path.name} "
            unit = "click" if self.nested else "line"
            for line, text in head.collect(engine="streaming").sort("_line").iter_rows():
                found.append(f"{file}{unit} {line}: {'nothing' if text is None else repr(text)}")
            if len(found) == 3:
                break
        return ", ".join(found)

    def _events_found(self, layout: "_Layout") -> str:
        if not self.events:
            return ""
        event = pl.col(layout.names["event"]).cast(pl.String)
        found = layout.frame.select(event.unique()).head(10).collect(engine="streaming").to_series().sort()
        return "; it has the events " + ", ".join(map(str, found))

    def _one_sentence(self, path: Path | None = None) -> "_Sentence":
        return _Sentence(path or self.files[0], self._unwritable)

    def _unwritable(self, error: Exception) -> UserError:
        return UserError(
            f"Cannot write the prepared data to {self.cache} ({getattr(error, 'strerror', None) or error}): "
            "free some space or name another folder with paths.cache=FOLDER."
        )


_FLAT = ("items", "times", "when", "began", "row")


@dataclass(frozen=True)
class _Layout:
    """How the log's own columns become ours."""

    frame: pl.LazyFrame
    names: dict[str, str]
    types: dict[str, Any]
    key: pl.Expr
    item: pl.Expr
    time: pl.Expr
    order: pl.Expr | None
    kept: pl.Expr | None


class _Sentence:
    """Turns what polars says of an unreadable file into one sentence."""

    def __init__(self, path: Path, unwritable: Callable[[Exception], UserError]):
        self.path, self.unwritable = path, unwritable

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, (OSError, pl.exceptions.PolarsError)):
            return
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, pl.exceptions.NoDataError):
            raise UserError(f"{self.path} is empty: expected one row per click.") from error
        if "No space" in text or "os error 28" in text:
            raise self.unwritable(OSError(28, "No space left on device")) from error
        if "utf-8" in text.lower() or "utf8" in text.lower():
            raise UserError(
                f"{self.path} is not UTF-8 text: convert it, for instance with iconv -f latin1 -t utf-8."
            ) from error
        if self.path.suffix in PACKED:
            raise UserError(
                f"{self.path} is truncated or not a {self.path.suffix} file ({text}): copy or download it again."
            ) from error
        raise UserError(f"{self.path} cannot be read as {_kind(self.path)[1:]} ({text}).") from error


def _without_duplicates(frame: pl.DataFrame) -> pl.DataFrame:
    """Only clicks at the same moment of the same session can be duplicates: few rows are compared."""
    same = (pl.col("key") == pl.col("key").shift()) & (pl.col("order") == pl.col("order").shift())
    same = same.fill_null(False)
    tied = frame.select(same | same.shift(-1).fill_null(False)).to_series()
    index = pl.int_range(pl.len(), dtype=pl.UInt32).alias("_index")
    ties = frame.with_columns(index).filter(tied)
    again = ties.filter(~pl.struct("key", "order", "code").is_first_distinct())["_index"]
    keep = np.ones(frame.height, bool)
    keep[again.to_numpy()] = False
    return frame.filter(pl.Series(keep))


def _id(name: str, frame: pl.LazyFrame) -> pl.Expr:
    dtype = frame.collect_schema()[name]
    if dtype.is_integer():
        return pl.col(name)
    if dtype.is_float():  # as pandas writes integers beside missing ones
        return pl.when(pl.col(name) == pl.col(name).floor()).then(pl.col(name).cast(pl.Int64, strict=False))
    text = pl.col(name).cast(pl.String)
    return pl.when(text != "").then(text)


def _unit(value: float) -> str:
    """The unit of an epoch time, by its size: seconds until the year 5138."""
    for unit, limit in (("s", 1e11), ("ms", 1e14), ("us", 1e17)):
        if value < limit:
            return unit
    return "ns"


def _kind(path: Path) -> str:
    return (path.with_suffix("") if path.suffix in PACKED else path).suffix.lower()


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): give yourself the permission to read it."
        ) from error


def _files(option: str, path: str | Sequence[str] | None, source: str = "") -> list[Path]:
    """The files that `path` names."""
    patterns = [path] if isinstance(path, str) else list(path or [])
    if not patterns:
        raise OptionError(option, "null", "a file, such as log.csv, or a glob in quotes, such as 'logs/*.parquet'")
    files: list[Path] = []
    for pattern in patterns:
        found = [Path(pattern)] if Path(pattern).exists() else [Path(name) for name in sorted(glob.glob(pattern))]
        if not found:
            where = f" It is to be had from {source};" if source else ""
            raise UserError(f"There is no file {pattern}.{where} Name yours with dataset.{option}=FILE.")
        files += found
    for file in files:
        if file.is_dir():
            raise OptionError(option, file, f"a file, not a directory: for all in it say '{file}/*.csv'")
        if _kind(file) not in KINDS:
            raise OptionError(option, file, f"a name that ends in {', '.join(KINDS)}, or one of these and .gz or .zst")
    if len({_kind(file) for file in files}) > 1:
        raise OptionError(option, path, "files of one kind")
    return files
