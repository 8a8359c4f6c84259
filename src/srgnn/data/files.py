"""Raw files as rows: CSV, TSV, JSON lines or Parquet, plain or compressed; what is wrong with them, in one sentence."""

import csv
import errno
import glob
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from srgnn.errors import OptionError, UserError

TEXT = (".csv", ".tsv", ".dat", ".txt")
JSON = (".jsonl", ".ndjson")
KINDS = (*TEXT, *JSON, ".parquet")
PACKED = (".gz", ".zst")
SAMPLE = 1000  # rows that tell the types of JSON fields, and the form of ids and times
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # of the copy that is written, not of the files
NO_SEPARATOR = "\x01"  # reads every line as one column


@dataclass(frozen=True)
class RawFiles:
    """Files of one kind that hold one table.

    Args:
        paths: The files.
        header: The names of all columns of text files that have no header.
        separator: Of text files; None finds it in the first line.
        mixed: Looks at all rows for the type of a JSON field.
    """

    paths: tuple[Path, ...]
    header: Sequence[str] | None = None
    separator: str | None = None
    mixed: bool = False

    @classmethod
    def find(cls, option: str, path: str | Sequence[str] | None, source: str = "") -> "RawFiles":
        """The files that `path` names: a file, a glob, or a list of them.

        Raises:
            UserError: when there are none, or they are not what can be read.
        """
        patterns = [path] if isinstance(path, str) else list(path or [])
        if not patterns:
            raise OptionError(option, "null", "a file, such as log.csv, or a glob in quotes, such as 'logs/*.parquet'")
        files: list[Path] = []
        for pattern in patterns:
            found = [Path(pattern)] if os.path.exists(pattern) else [Path(name) for name in sorted(glob.glob(pattern))]
            if not found:
                where = f" It is to be had from {source}." if source else ""
                raise UserError(f"There is no file {pattern}: name yours with dataset.{option}=FILE.{where}")
            files += found
        for file in files:
            if file.is_dir():
                raise OptionError(option, file, f"a file, not a directory: for all in it say '{file}/*.csv'")
            if _kind(file) not in KINDS:
                raise OptionError(
                    option, file, f"a name that ends in {', '.join(KINDS)}, or in one of these and .gz or .zst"
                )
            if not file.stat().st_size:
                raise UserError(f"{file} is empty: expected a header and rows.")
        if len({_kind(file) for file in files}) > 1:
            raise OptionError(option, path, "files of one kind")
        return cls(tuple(files))

    @property
    def kind(self) -> str:
        return _kind(self.paths[0])

    @property
    def name(self) -> str:
        """What to call them in a sentence."""
        first = str(self.paths[0])
        return first if len(self.paths) == 1 else f"{first} and {len(self.paths) - 1} more"

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.paths)

    def hashes(self) -> dict[str, str]:
        """The SHA-256 of every file.

        Raises:
            UserError: for a file that may not be read.
        """
        return {str(path): _hash(path) for path in self.paths}

    def rows(self, numbered: bool = False) -> pl.LazyFrame:
        """The rows as they are, text as text; `numbered` adds the line of each as `_line`. Blank lines are no rows."""
        if self.kind in TEXT:
            frame = pl.scan_csv(
                [*self.paths],
                has_header=self.header is None,
                schema=None if self.header is None else dict.fromkeys(self.header, pl.String()),
                separator=self.separator or self._separator,
                infer_schema=False,
                glob=False,
            )
        elif self.kind == ".parquet":
            frame = pl.scan_parquet([*self.paths], glob=False)
        else:
            frame = pl.scan_ndjson([*self.paths], infer_schema_length=None if self.mixed else SAMPLE)
        columns = frame.collect_schema().names()
        if numbered:
            frame = frame.with_row_index("_line", 2 if self.kind in TEXT and self.header is None else 1)
        return frame if self.kind == ".parquet" else frame.filter(~pl.all_horizontal(pl.col(columns).is_null()))

    @cached_property
    def _separator(self) -> str:
        if self.kind == ".tsv":
            return "\t"
        return max((",", ";", "\t", "|"), key=self._first_line.count)

    @cached_property
    def _first_line(self) -> str:
        lines = self._lines(self.paths[0]).head(1).collect(engine="streaming")["line"]
        if not len(lines):
            raise pl.exceptions.NoDataError("empty")
        line = lines[0] or ""
        if "\0" in line:
            raise pl.exceptions.ComputeError("not utf-8: it has zero bytes")
        return line

    def _lines(self, path: Path) -> pl.LazyFrame:
        """The lines of a text file as they are: number, counted from 1, and line."""
        lines = pl.scan_csv(
            path,
            has_header=False,
            schema={"line": pl.String()},
            separator=NO_SEPARATOR,
            quote_char=None,
            truncate_ragged_lines=True,
            glob=False,
        )
        return lines.with_row_index("number", 1).with_columns(pl.col("line").str.strip_chars_end("\r"))

    # Broken lines: more fields than the header has, or no JSON. Only sought when polars could not read a file.

    def broken(self) -> list[tuple[Path, int, str]]:
        """Every broken line with its file and number."""
        found = []
        for path in self.paths if self.kind in (*TEXT, *JSON) else ():
            lines = self._lines(path).filter(self._is_broken()).collect(engine="streaming")
            found += [(path, number, line) for number, line in lines.iter_rows()]
        return found

    def without_broken(self, folder: Path) -> "RawFiles":
        """Copies of the files in `folder` that lack their broken lines."""
        copies = []
        for number, path in enumerate(self.paths):
            copies.append(folder / f"{number}{self.kind}")
            kept = self._lines(path).filter(~self._is_broken()).select("line")
            kept.sink_csv(copies[-1], include_header=False, quote_style="never")
        return replace(self, paths=tuple(copies))

    def _is_broken(self) -> pl.Expr:
        separator = self.separator or self._separator
        width = len(self.header or _fields(self._first_line, separator))

        def broken(line: str) -> bool:
            if self.kind in JSON:
                return not _is_json(line)
            return line.count(separator) >= width and len(_fields(line, separator)) > width

        line = pl.col("line").fill_null("")
        return line.map_batches(lambda some: pl.Series([*map(broken, some)], dtype=pl.Boolean), pl.Boolean)

    @contextmanager
    def one_sentence(self) -> Iterator[None]:
        """Turns what polars says of unreadable files into one sentence."""
        try:
            yield
        except (OSError, pl.exceptions.PolarsError) as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            number = re.search(r"os error (\d+)", text)
            if number and int(number[1]) in UNWRITABLE:
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
            if isinstance(error, pl.exceptions.NoDataError):
                raise UserError(f"{self.name} is empty: expected a header and rows.") from error
            if "utf-8" in text.lower() or "utf8" in text.lower():
                raise UserError(
                    f"{self.name} is not UTF-8 text: convert it, for instance with iconv -f latin1 -t utf-8."
                ) from error
            if any(path.suffix in PACKED for path in self.paths):
                raise UserError(
                    f"{self.name} is truncated or not a {self.paths[0].suffix} file ({text}): copy it again."
                ) from error
            raise UserError(f"{self.name} cannot be read as {self.kind[1:]} ({text}).") from error


def _fields(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _is_json(line: str) -> bool:
    try:
        return not line.strip() or isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _kind(path: Path) -> str:
    return (path.with_suffix("") if path.suffix in PACKED else path).suffix.lower()


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): ask for the permission to read it.") from error
