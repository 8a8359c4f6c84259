"""Raw files as rows: CSV, TSV, JSON lines or Parquet, plain or compressed; errors about files that cannot be read."""

import csv
import errno
import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from srgnn.errors import ArgumentError, UserError
from srgnn.saving import FULL, error_number, write_error

TEXT = (".csv", ".tsv", ".dat", ".txt")
JSON = (".jsonl", ".ndjson")
PARQUET = ".parquet"
KINDS = (*TEXT, *JSON, PARQUET)
PACKED = (".gz", ".zst")
SAMPLE = 1000  # number of rows from which the types of JSON fields and the form of ids and times are inferred
UNWRITABLE = (*FULL, errno.EROFS)  # in a query that both reads and writes, these errors come from the writing
NO_SEPARATOR = "\x01"  # reads every line as one column

PathName = str | os.PathLike[str]
PathNames = PathName | Sequence[PathName]


@dataclass(frozen=True)
class RawFiles:
    """Files of one kind that together hold one table; columns may differ in order from file to file, or be missing.

    Args:
        paths: The files.
        header: The names of all columns of text files that have no header.
        separator: Field separator of text files; None detects it in the first line.
        quote: The character around a field that holds separators; None where quotes are part of the text.
        mixed: Whether to infer the columns and types of JSON lines from all rows instead of the first ones.
        named: The user's own files, where `paths` are copies of them.
    """

    paths: tuple[Path, ...]
    header: Sequence[str] | None = None
    separator: str | None = None
    quote: str | None = '"'
    mixed: bool = False
    named: tuple[Path, ...] = ()

    @classmethod
    def find(cls, argument: str, path: PathNames, source: str = "") -> "RawFiles":
        """The files that `path` names: a file, a glob, or a list of them.

        Args:
            argument: Name of the argument that gave `path`, for the error messages.
            path: The file, glob or list.
            source: Where the files can be downloaded.

        Raises:
            UserError: if there are none, or they are of a kind that cannot be read.
        """
        files: list[Path] = []
        for pattern in check_paths(argument, path):
            found = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
            if not found:
                where = f" Download it from {source}." if source else ""
                raise UserError(f"There is no file {pattern}: name yours with {argument}=FILE.{where}", argument)
            files += map(Path, found)
        for file in files:
            _check_file(argument, file)
        if len({_kind(file) for file in files}) != 1:
            raise ArgumentError(argument, path, "files of one kind")
        return cls(tuple(files))

    @property
    def kind(self) -> str:
        """The suffix without compression, such as `.csv`."""
        return _kind(self.paths[0])

    @property
    def name(self) -> str:
        """The name of the files in messages."""
        first = str((self.named or self.paths)[0])
        return first if len(self.paths) == 1 else f"{first} and {len(self.paths) - 1} more"

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.paths)

    def hashes(self) -> dict[str, str]:
        """The SHA-256 of every file.

        Raises:
            UserError: for a file without permission to read.
        """
        return {str(path): _hash(path) for path in self.paths}

    def rows(self, numbered: bool = False) -> pl.LazyFrame:
        """The rows, with text left as text; `numbered` adds the line of each row within its file as `_line`.

        A row without any value, such as a blank line, is left out.
        """
        return pl.concat([self._rows(path, numbered) for path in self.paths], how="diagonal_relaxed")

    def _rows(self, path: Path, numbered: bool) -> pl.LazyFrame:
        if self.kind in TEXT:
            separator, width = self.shape(path)
            if self.header is not None and len(self.header) != width:
                raise ArgumentError("header", self.header, f"the names of the {width} columns of {path.name}")
            frame = pl.scan_csv(
                path,
                has_header=self.header is None,
                schema=None if self.header is None else dict.fromkeys(self.header, pl.String()),
                separator=separator,
                quote_char=self.quote,
                infer_schema=False,
                glob=False,
            )
        elif self.kind == PARQUET:
            frame = pl.scan_parquet(path, glob=False)
        else:
            frame = pl.scan_ndjson(path, infer_schema_length=None if self.mixed else SAMPLE)
        columns = frame.collect_schema().names()
        if numbered:
            frame = frame.with_row_index("_line", 2 if self.kind in TEXT and self.header is None else 1)
        return frame if self.kind == PARQUET else frame.filter(~pl.all_horizontal(pl.col(columns).is_null()))

    def shape(self, path: Path) -> tuple[str, int]:
        """The separator of a text file, and the number of columns in its first line.

        Raises:
            UserError: for a file that is empty, not UTF-8 text, or whose lines end in carriage returns alone.
        """
        lines = self.lines(path).head(1).collect(engine="streaming")["line"]
        if not len(lines):
            raise _empty(self)
        line = lines[0]
        if "\0" in line:
            raise _not_text(self)  # UTF-16 has a zero byte beside every Latin letter
        unquoted = line if self.quote is None else "".join(line.split(self.quote)[::2])
        if "\r" in unquoted:
            raise UserError(
                f"{self.name} has lines that end in carriage returns alone: convert it, for instance with "
                "tr '\\r' '\\n'."
            )
        common = ("\t",) if self.kind == ".tsv" else (",", ";", "\t", "|")
        separator = self.separator or max(common, key=line.count)
        return separator, len(self.fields(line, separator))

    def lines(self, path: Path) -> pl.LazyFrame:
        """The raw lines of a text file: number, counted from 1, and line."""
        lines = pl.scan_csv(
            path,
            has_header=False,
            schema={"line": pl.String()},
            separator=NO_SEPARATOR,
            quote_char=None,
            truncate_ragged_lines=True,
            glob=False,
        )
        return lines.with_row_index("number", 1).with_columns(pl.col("line").str.strip_chars_end("\r").fill_null(""))

    def fields(self, line: str, separator: str) -> list[str]:
        """The fields of a line; a carriage return is part of the text, as polars reads it."""
        if self.quote is None:
            return line.split(separator)
        try:
            return next(csv.reader([line.replace("\r", " ")], delimiter=separator, quotechar=self.quote), [])
        except csv.Error:  # a field of more than 131,072 characters
            return line.split(separator)

    @contextmanager
    def one_sentence(self) -> Iterator[None]:
        """Turns polars' errors about unreadable files into a :class:`UserError` of one sentence."""
        try:
            yield
        except (OSError, pl.exceptions.PolarsError) as error:
            raise _unreadable(self, error) from error


def check_paths(argument: str, path: PathNames) -> list[str]:
    """The names in `path`, as a list of text.

    Raises:
        ArgumentError: if it is neither a name nor a list of names.
    """
    names = list(path) if isinstance(path, Sequence) and not isinstance(path, str) else [path]
    if not all(isinstance(name, str | os.PathLike) for name in names):
        raise ArgumentError(
            argument, path or "null", "a file, such as log.csv, or a glob in quotes, such as 'logs/*.parquet'"
        )
    return [os.fspath(name) for name in names]


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns errors of a full or read-only disk, which polars raises as its own, into a :class:`UserError`.

    Other errors pass through: the query that writes `path` also reads the log.
    """
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        if error_number(error) not in UNWRITABLE:
            raise
        raise write_error(f"the prepared data in {path.parent}", error, "cache") from error


def _unreadable(files: RawFiles, error: Exception) -> UserError:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, pl.exceptions.NoDataError):
        return _empty(files)
    if "utf-8" in text.lower() or "utf8" in text.lower():
        return _not_text(files)
    if isinstance(error, OSError) and any(path.suffix in PACKED for path in files.paths):
        return UserError(f"{files.name} is truncated or not a {files.paths[0].suffix} file ({text}): copy it again.")
    message = f"{files.name} cannot be read as {files.kind[1:]} ({text})."
    if files.kind in TEXT:
        message += " If quotes are part of the text, set quote=null."
    return UserError(message, "quote")


def _empty(files: RawFiles) -> UserError:
    return UserError(f"{files.name} is empty: expected a header and rows.")


def _not_text(files: RawFiles) -> UserError:
    return UserError(f"{files.name} is not UTF-8 text: convert it, for instance with iconv -f latin1 -t utf-8.")


def _check_file(argument: str, file: Path) -> None:
    if file.is_dir():
        raise ArgumentError(argument, file, f"a file, not a directory: for all files in it, give '{file}/*.csv'")
    if _kind(file) not in KINDS or (_kind(file) == PARQUET and file.suffix in PACKED):
        names = f"{', '.join(KINDS)}, or in one of these except {PARQUET} followed by .gz or .zst"
        raise ArgumentError(argument, file, f"a name that ends in {names}")
    if not file.stat().st_size:
        raise UserError(f"{file} is empty: expected a header and rows.")


def _kind(path: Path) -> str:
    return (path.with_suffix("") if path.suffix in PACKED else path).suffix.lower()


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): ask for permission to read it.") from error
