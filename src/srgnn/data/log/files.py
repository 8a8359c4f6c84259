"""Raw files as rows: CSV, TSV, JSON lines or Parquet, plain or compressed; errors about files that cannot be read."""

import csv
import errno
import glob
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class BrokenLine:
    """A line with more fields than the header has, or that is not a JSON object."""

    path: Path
    number: int  # counted from 1
    text: str


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
    def find(cls, argument: str, path: Any, source: str = "") -> "RawFiles":
        """The files that `path` names: a file, a glob, or a list of them.

        Args:
            argument: Name of the argument that gave `path`, for the error messages.
            path: The file, glob or list.
            source: Where the files can be downloaded.

        Raises:
            UserError: if there are none, or they are of a kind that cannot be read.
        """
        patterns = list(path) if isinstance(path, Sequence) and not isinstance(path, str) else [path]
        files: list[Path] = []
        for pattern in patterns:
            if not isinstance(pattern, str):
                raise ArgumentError(
                    argument, path or "null", "a file, such as log.csv, or a glob in quotes, such as 'logs/*.parquet'"
                )
            found = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
            if not found:
                where = f" Download it from {source}." if source else ""
                raise UserError(f"There is no file {pattern}: name yours with {argument}=FILE.{where}", argument)
            files += map(Path, found)
        for file in files:
            if file.is_dir():
                raise ArgumentError(
                    argument, file, f"a file, not a directory: for all files in it, give '{file}/*.csv'"
                )
            if _kind(file) not in KINDS or (_kind(file) == PARQUET and file.suffix in PACKED):
                names = f"{', '.join(KINDS)}, or in one of these except {PARQUET} followed by .gz or .zst"
                raise ArgumentError(argument, file, f"a name that ends in {names}")
            if not file.stat().st_size:
                raise UserError(f"{file} is empty: expected a header and rows.")
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
            separator, width = self._shape(path)
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

    def _shape(self, path: Path) -> tuple[str, int]:
        """The separator of a text file, and the number of columns in its first line."""
        lines = self._lines(path).head(1).collect(engine="streaming")["line"]
        if not len(lines):
            raise self._empty()
        line = lines[0]
        if "\0" in line:
            raise self._not_text()  # UTF-16 has a zero byte beside every Latin letter
        common = ("\t",) if self.kind == ".tsv" else (",", ";", "\t", "|")
        separator = self.separator or max(common, key=line.count)
        return separator, len(self._fields(line, separator))

    def _lines(self, path: Path) -> pl.LazyFrame:
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

    def broken(self) -> list[BrokenLine]:
        """Finds all broken lines: a slow search, for files that polars could not read."""
        broken_lines = []
        for path in self.paths if self.kind in (*TEXT, *JSON) else ():
            lines = self._lines(path)
            if self.kind in JSON:
                is_broken: Callable[[str], bool] = _is_not_json
            else:
                separator, width = self._shape(path)
                lines = lines.filter(pl.col("line").str.count_matches(separator, literal=True) >= width)
                is_broken = partial(self._has_surplus, separator=separator, width=width)
            condition = pl.col("line").map_batches(partial(_each, is_broken), pl.Boolean)
            rows = lines.filter(condition).collect(engine="streaming").iter_rows()
            broken_lines += [BrokenLine(path, number, text) for number, text in rows]
        return broken_lines

    def without(self, broken: Sequence[BrokenLine], folder: Path) -> "RawFiles":
        """Copies the files to `folder`, with the broken lines blank."""
        copies = []
        for index, path in enumerate(self.paths):
            copies.append(folder / f"{index}{self.kind}")
            numbers = pl.Series([line.number for line in broken if line.path == path], dtype=pl.UInt32)
            line = pl.when(~pl.col("number").is_in(numbers.implode())).then("line").otherwise(pl.lit(""))
            with writing(copies[-1]):
                self._lines(path).select(line).sink_csv(copies[-1], include_header=False, quote_style="never")
        return replace(self, paths=tuple(copies), named=self.named or self.paths)

    def _fields(self, line: str, separator: str) -> list[str]:
        if self.quote is None:
            return line.split(separator)
        return next(csv.reader([line], delimiter=separator, quotechar=self.quote), [])

    def _has_surplus(self, line: str, separator: str, width: int) -> bool:
        # An odd number of quotes: a quoted field continues on the next line.
        part_of_a_row = self.quote is not None and line.count(self.quote) % 2
        return not part_of_a_row and len(self._fields(line, separator)) > width

    def _empty(self) -> UserError:
        return UserError(f"{self.name} is empty: expected a header and rows.")

    def _not_text(self) -> UserError:
        return UserError(f"{self.name} is not UTF-8 text: convert it, for instance with iconv -f latin1 -t utf-8.")

    @contextmanager
    def one_sentence(self) -> Iterator[None]:
        """Turns polars' errors about unreadable files into a :class:`UserError` of one sentence."""
        try:
            yield
        except (OSError, pl.exceptions.PolarsError) as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            if isinstance(error, pl.exceptions.NoDataError):
                raise self._empty() from error
            if "utf-8" in text.lower() or "utf8" in text.lower():
                raise self._not_text() from error
            if isinstance(error, OSError) and any(path.suffix in PACKED for path in self.paths):
                raise UserError(
                    f"{self.name} is truncated or not a {self.paths[0].suffix} file ({text}): copy it again."
                ) from error
            message = f"{self.name} cannot be read as {self.kind[1:]} ({text})."
            if self.kind in TEXT:
                message += " If quotes are part of the text, set quote=null."
            raise UserError(message, "quote") from error


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


def _each(test: Callable[[str], bool], lines: pl.Series) -> pl.Series:
    return pl.Series([test(line) for line in lines], dtype=pl.Boolean)


def _is_not_json(line: str) -> bool:
    try:
        return bool(line.strip()) and not isinstance(json.loads(line), dict)
    except ValueError:
        return True


def _kind(path: Path) -> str:
    return (path.with_suffix("") if path.suffix in PACKED else path).suffix.lower()


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): ask for permission to read it.") from error
