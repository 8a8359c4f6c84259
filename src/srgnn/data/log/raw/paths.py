"""The files that a user names: one file, a glob, or a list of them."""

import glob
import os
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from srgnn.data.log.raw.content import check_content
from srgnn.data.log.raw.header import empty, read_head
from srgnn.data.log.raw.text import PACKED, plain_name, python
from srgnn.errors import ArgumentError, UserError

TEXT = (".csv", ".tsv", ".dat", ".txt", ".data", ".item")  # the last two are MovieLens'
JSON = (".jsonl", ".ndjson")
PARQUET = ".parquet"
KINDS = (*TEXT, *JSON, PARQUET)
FEW = 500  # files of a folder, from which the glob of all is suggested

PathName = str | os.PathLike[str]
PathNames = PathName | Sequence[PathName]


def find_files(argument: str, path: PathNames, source: str = "") -> tuple[Path, ...]:
    """The files that `path` names, all of one kind.

    Args:
        argument: Name of the argument that gave `path`, for the error messages.
        path: The file, glob or list.
        source: Where the files can be downloaded.

    Raises:
        UserError: if there are none, or they are of a kind that cannot be read.
    """
    files: list[Path] = []
    for pattern in check_paths(argument, path):
        found = [pattern]
        if not os.path.exists(pattern):
            found = sorted(filter(_may_hold_rows, glob.glob(pattern, recursive=True)))
        if not found:
            where = f" Download it from {source}." if source else ""
            raise UserError(f"There is no file {pattern}: name yours with {argument}=FILE.{where}", argument)
        files += map(Path, found)
    for file in files:
        _check_file(argument, file)
    if len({os.path.realpath(file) for file in files}) < len(files):
        raise ArgumentError(argument, path, "each file once")
    check_kinds(argument, files)
    return tuple(files)


def check_kinds(argument: str, files: Sequence[Path]) -> None:
    """Checks that files are all text, all JSON lines or all Parquet.

    Args:
        argument: Name of the argument that gave them.
        files: The files.

    Raises:
        UserError: if they are not; the message has the command that converts one.
    """
    families = {family: [file for file in files if kind_of(file) in family] for family in (TEXT, JSON, (PARQUET,))}
    found = [members for members in families.values() if members]
    if len(found) == 1:
        return
    # Parquet and CSV are converted: the other way round, times and numbers would be text among others.
    source = (families[(PARQUET,)] or families[TEXT])[0]
    model = (families[TEXT] if kind_of(source) == PARQUET and families[TEXT] else families[JSON])[0]
    target = source.with_name(f"{source.name.partition('.')[0]}-rows{kind_of(model)}")
    if kind_of(source) == PARQUET:
        scan = f"pl.scan_parquet({str(source)!r}, glob=False)"
    else:
        separator = read_head(source, None, None, '"').separator
        scan = f"pl.scan_csv({str(source)!r}, glob=False, separator={separator!r}, infer_schema=False)"
    if kind_of(model) in TEXT:
        separator = read_head(model, None, None, '"').separator
        sink = f"sink_csv({str(target)!r}, separator={separator!r}, datetime_format='%Y-%m-%d %H:%M:%S%.f')"
    else:
        sink = f"sink_ndjson({str(target)!r})"
    names = " and ".join(str(members[0]) for members in found)
    raise UserError(
        f"{argument}= names files of several kinds, {names}: give instead of {source} the file {target} written by "
        f"{python(f'import polars as pl; {scan}.{sink}')}, and likewise for others of its kind.",
        argument,
    )


def check_paths(argument: str, path: PathNames) -> list[str]:
    """The names in `path`, as a list of text.

    Raises:
        ArgumentError: if it is neither a name nor a list of names.
    """
    names = list(path) if isinstance(path, Sequence) and not isinstance(path, str) else [path]
    if not names or not all(isinstance(name, str | os.PathLike) for name in names):
        raise ArgumentError(
            argument, path or "null", "a file, such as log.csv, or a glob in quotes, such as 'logs/*.parquet'"
        )
    return [os.fspath(name) for name in names]


def _check_file(argument: str, file: Path) -> None:
    if not os.path.exists(file):
        raise UserError(
            f"{file} is a link to a file that does not exist: link it to yours, or name that with {argument}=FILE.",
            argument,
        )
    if file.is_dir():
        raise ArgumentError(
            argument, file, f"a file, not a directory: for all files in it, give '{file}/{_glob(file)}'"
        )
    if not file.is_file():
        text = f"{file} is a pipe or a device, and a log is read several times: write it into a file first."
        raise UserError(text, argument)
    kind = kind_of(file)
    if file.stat().st_size:
        check_content(file, kind == PARQUET, kind in JSON)
    if kind not in KINDS or (kind == PARQUET and file.suffix.lower() in PACKED):
        names = f"{', '.join(KINDS)}, or in one of these except {PARQUET} followed by .gz or .zst"
        raise ArgumentError(argument, file, f"a name that ends in {names}")
    if not file.stat().st_size:
        raise empty(file)


def _may_hold_rows(name: str) -> bool:
    """Whether a file that a glob finds is none of those that Spark and Hive write beside the rows, such as _SUCCESS."""
    return not os.path.basename(name).startswith("_") or kind_of(Path(name)) in KINDS


def _glob(folder: Path) -> str:
    """The glob of the files in a folder, or in those below it, that hold rows."""
    found = islice(folder.rglob("[!._]*"), FEW)
    files = [file for file in found if kind_of(file) in KINDS and file.is_file()]
    top = [file for file in files if file.parent == folder]
    suffixes = Counter(kind_of(file) + (file.suffix if plain_name(file) != file else "") for file in top or files)
    suffix = suffixes.most_common(1)[0][0] if suffixes else ".csv"
    return f"*{suffix}" if top or not files else f"**/*{suffix}"


def kind_of(path: Path) -> str:
    """The suffix of a file without that of its compression, such as `.csv`."""
    return plain_name(path).suffix.lower()
