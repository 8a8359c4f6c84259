"""Recommendations for a file of sessions: in parts, so that a run that was stopped continues where it was."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from srgnn.data.log.raw.converted import converted
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import PathNames, find_files
from srgnn.errors import UserError
from srgnn.progress import Progress
from srgnn.saving import parts_folder, remove, whole_file
from srgnn.scoring.scorer import BY_POPULARITY, ITEMS, SCORES, SKIPPED, TITLES, Scorer
from srgnn.scoring.sessions import SessionColumns, Shard, read_sessions
from srgnn.table_files import check_table_path, write_table

ROWS = 2**16  # sessions of a part: some ten seconds of work, which are lost if a run is killed
CELLS = 2**21  # recommended items of a part, for a large k: some 100 MB with their ids
DIALECT = ("header", "separator", "quote", "encoding")  # of files of text
REQUEST, PARTS = "request.json", "part-*.parquet"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """A file of recommendations.

    Args:
        path: The file.
        sessions: Number of sessions.
        by_popularity: Number of sessions of which no click was known.
        skipped: Number of clicks on unknown items.
        was_there: Whether an earlier run had finished it.
    """

    path: Path
    sessions: int = 0
    by_popularity: int = 0
    skipped: int = 0
    was_there: bool = False


def recommend_file(
    scorer: Scorer,
    sessions: PathNames | RawFiles,
    output: str | Path,
    columns: SessionColumns | None = None,
    shard: Shard | None = None,
) -> Finished:
    """Writes the recommendations for a file of sessions, one row per session; a CSV file has one per recommended item.

    Parts of the result are kept in the folder `OUTPUT.parts`, from which the same call continues after a stop. Beside
    the finished file, `OUTPUT.json` says how it was made; the same call then does nothing.

    Args:
        scorer: Makes the recommendations; its `column` is that of `columns`.
        sessions: The file, a glob or a list, in any format that a log may have; or files with their header, separator,
            quote and encoding.
        output: The file to write, Parquet or CSV. The file of a shard has its number in the name.
        columns: The names of the columns of `sessions`.
        shard: The part of the sessions to answer; None for all.

    Raises:
        UserError: for files that cannot be read or written, or another file in the place of the result.
    """
    columns, shard = columns or SessionColumns(), shard or Shard()
    scorer, output = replace(scorer, column=columns.items), Path(output)
    check_table_path("output", output)
    files = sessions if isinstance(sessions, RawFiles) else RawFiles(find_files("sessions", sessions))
    path = shard_path(output, shard)
    request = _request(scorer, files, columns, shard)
    about = path.with_name(f"{path.name}.json")
    if path.exists():
        if _stored(about) == request:
            return Finished(path, was_there=True)
        raise _taken(path, _stored(about), request, "delete it")
    with parts_folder(path) as folder:
        stored, prepared = _stored(folder / REQUEST), folder / "sessions.parquet"
        if stored != request:
            if any(folder.glob(PARTS)):
                raise _taken(folder, stored, request, "delete that folder")
            remove(prepared)
            _write_request(folder / REQUEST, request)
        rows = min(ROWS, max(1, CELLS // scorer.k))
        frame = _read_once(prepared, files, columns, shard, rows)
        _check_table(frame, scorer, path, files, shard)
        parts = _write_parts(folder, frame, scorer, rows)
        lists = [name for name in (ITEMS, SCORES, TITLES) if name in parts.collect_schema()]
        _write_request(about, request)
        write_table(path, "the recommendations", parts, *lists)
        counts = parts.select(pl.len(), pl.col(BY_POPULARITY).sum(), pl.col(SKIPPED).cast(pl.Int64).sum()).collect()
        return Finished(path, *counts.row(0))


def shard_path(output: Path, shard: Shard) -> Path:
    """The file of a shard: `recs-03-of-16.parquet` for `recs.parquet`."""
    if shard.count == 1:
        return output
    number = str(shard.number).zfill(len(str(shard.count)))
    return output.with_name(f"{output.stem}-{number}-of-{shard.count}{output.suffix}")


def _request(scorer: Scorer, files: RawFiles, columns: SessionColumns, shard: Shard) -> dict[str, Any]:
    """What a result depends on, as JSON reads it back."""
    options = asdict(scorer)
    del options["column"]
    options |= {"checkpoint": _identity(Path(scorer.checkpoint)), "sessions": [_identity(path) for path in files.paths]}
    options |= {"columns": asdict(columns), "shard": str(shard)}
    usual = RawFiles(files.paths)
    options |= {each: value for each in DIALECT if (value := getattr(files, each)) != getattr(usual, each)}
    return json.loads(json.dumps(options))  # type: ignore[no-any-return]


def _identity(path: Path) -> list[Any]:
    """A file by its path, size and time of change: to hash millions of sessions would take as long as to read them."""
    if not path.exists():
        return [str(path)]  # the scorer has the sentence
    about = path.stat()
    return [str(path.resolve()), about.st_size, about.st_mtime_ns]


def _stored(file: Path) -> dict[str, Any] | None:
    """The request in a file; None if there is none."""
    try:
        return json.loads(file.read_text())  # type: ignore[no-any-return]
    except (OSError, ValueError):
        return None


def _taken(what: Path, stored: Mapping[str, Any] | None, request: Mapping[str, Any], remedy: str) -> UserError:
    """The error for a result or its parts that another request has made."""
    names = {**request, **(stored or {})}
    changed = [name for name in names if stored is not None and stored.get(name, ...) != request.get(name, ...)]
    made = (
        f"made with another {' and another '.join(f'{name}=' for name in changed)}"
        if changed
        else ("not made by this command")
    )
    return UserError(
        f"{what} is there already, and was {made}: {remedy}, or choose another output=FILE.", "output", *changed
    )


def _write_request(file: Path, request: Mapping[str, Any]) -> None:
    with whole_file(file, "the request", "output") as temporary:
        temporary.write_text(json.dumps(request, indent=2) + "\n")


def _read_once(path: Path, files: RawFiles, columns: SessionColumns, shard: Shard, rows: int) -> pl.LazyFrame:
    """The sessions as Parquet: their parts are then read without those before, and errors come before the work."""
    if not path.exists():
        log.info("Reading %s (%.1f MB)", files.name, files.size / 1e6)
        with (
            TemporaryDirectory(dir=path.parent) as folder,
            converted(files, Path(folder)) as plain,
            plain.one_sentence(),
        ):
            frame = read_sessions(plain, columns, shard)
            with whole_file(path, "the sessions", "output") as temporary:
                frame.sink_parquet(temporary, row_group_size=rows)
    return pl.scan_parquet(path, glob=False)


def _check_table(frame: pl.LazyFrame, scorer: Scorer, path: Path, files: RawFiles, shard: Shard) -> None:
    """Checks the sessions before the work begins.

    Raises:
        UserError: if there are none, or their columns do not fit the scorer or the file to write.
    """
    if shard.count == 1 and not _count(frame):
        raise UserError(f"{files.name} has no sessions: expected at least one row.")
    scorer.schema(frame.head(0).collect().to_arrow().schema)
    others = {name: dtype for name, dtype in frame.collect_schema().items() if name != scorer.column}
    if path.suffix == ".csv" and (nested := [name for name, dtype in others.items() if dtype.is_nested()]):
        raise UserError(
            f"{files.name}: the column {nested[0]} holds {others[nested[0]]}, which has no place in a CSV file: write "
            "the recommendations to a name that ends in .parquet with output=FILE.",
            "output",
        )


def _write_parts(folder: Path, frame: pl.LazyFrame, scorer: Scorer, rows: int) -> pl.LazyFrame:
    """The recommendations, of which the missing parts are made now."""
    total = _count(frame)
    paths = [folder / f"part-{first // rows:06d}.parquet" for first in range(0, max(1, total), rows)]
    done = sum(path.exists() for path in paths)
    if done:
        log.info("%d of %d parts are done", done, len(paths))
    with Progress(total=total, desc="Recommending", unit=" sessions") as progress:
        for number, path in enumerate(paths):
            table = frame.slice(number * rows, rows)
            if not path.exists():
                with whole_file(path, "the recommendations", "output") as temporary:
                    pl.DataFrame(scorer(table.collect().to_arrow())).write_parquet(temporary)
            progress.update(min(rows, total - number * rows))
    return pl.scan_parquet(paths, glob=False)


def _count(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())
