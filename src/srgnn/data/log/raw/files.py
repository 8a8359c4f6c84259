"""Raw files as rows: CSV, TSV, JSON lines or Parquet, plain or compressed; errors about files that cannot be read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from srgnn.data.checksums import sha256_of
from srgnn.data.log.raw.alike import alike
from srgnn.data.log.raw.broken import (
    BrokenLine,
    Findings,
    broken_lines,
    copy_without,
    find_broken,
    quotes_are_text,
)
from srgnn.data.log.raw.broken_json import find_broken_json, find_unlike, repeated_field
from srgnn.data.log.raw.content import damaged_parquet, not_utf8, starts_with_bom
from srgnn.data.log.raw.header import IS_HEADER, Head, cleaned, empty, is_repeated, read_head
from srgnn.data.log.raw.json_lines import field_names, scan_json
from srgnn.data.log.raw.packed import damaged
from srgnn.data.log.raw.paths import JSON, PARQUET, TEXT, kind_of
from srgnn.data.log.raw.text import FROM_LINES, command, contains, raw_lines, unpacking, without
from srgnn.data.log.words import counted
from srgnn.data.log.writing import writing
from srgnn.errors import UserError, typed

IS_TEST = "_is_test"  # the column that marks the rows of test files
SAMPLE = 1000  # number of rows from which the types of JSON fields and the form of ids and times are inferred


@dataclass(frozen=True)
class RawFiles:
    """Files of one kind that together hold one table; columns may differ in order from file to file, or be missing.

    Args:
        paths: The files.
        header: The names of all columns of text files; a header in a file that has one of these names is left out.
        separator: Field separator of text files; None detects it in the first line. One of several characters, and
            another `encoding` than UTF-8, is read from copies, see :mod:`srgnn.data.log.raw.converted`.
        quote: The character around a field that holds separators; None where quotes are part of the text.
        mixed: Whether to infer the columns and types of JSON lines from all rows instead of the first ones.
        texts: The columns of JSON lines to read as text, because their values are of types that do not fit together.
        named: The user's own files, where `paths` are copies of them.
        num_test: Number of the last of these files that hold the test set; 0 where a rule splits the log.
        encoding: Encoding of text files.
    """

    paths: tuple[Path, ...]
    header: Sequence[str] | None = None
    separator: str | None = None
    quote: str | None = '"'
    mixed: bool = False
    texts: tuple[str, ...] = ()
    named: tuple[Path, ...] = ()
    num_test: int = 0
    encoding: str = "utf-8"

    @property
    def is_text(self) -> bool:
        """Whether they are text: not Parquet."""
        return self.kind != PARQUET

    @property
    def kind(self) -> str:
        """The suffix without compression, such as `.csv`."""
        return kind_of(self.paths[0])

    @property
    def known_paths(self) -> tuple[Path, ...]:
        """The user's own files."""
        return self.named or self.paths

    @property
    def name(self) -> str:
        """The name of the files in messages."""
        first = str(self.known_paths[0])
        return first if len(self.paths) == 1 else f"{first} (and {len(self.paths) - 1} more)"

    def each(self) -> Iterator[tuple[Path, "RawFiles"]]:
        """Each file by itself, after the user's own file, for messages about it."""
        for path, known_path in zip(self.paths, self.known_paths, strict=True):
            yield known_path, replace(self, paths=(path,), named=(), num_test=0)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.paths)

    def hashes(self) -> dict[str, str]:
        """The SHA-256 of every file.

        Raises:
            UserError: for a file without permission to read.
        """
        return {str(path): sha256_of(path) for path in self.paths}

    def rows(self, numbered: bool = False, marked: bool = False, blanked: bool = False) -> pl.LazyFrame:
        """The rows, with text left as text.

        A row without any value, such as a blank line, is left out. With test files, the column `_is_test` marks theirs.

        Args:
            numbered: Whether to add the line of each row within its file as `_line`, in place of a column of that name.
            marked: Whether the header lines among the rows of text files stay, and the column `_is_header` marks them;
                else they are left out.
            blanked: Whether marked lines lose their values, which cannot be read as those of rows. It costs a copy.
        """
        frames = [self._rows(path, numbered, marked, blanked) for path in self.paths]
        if len(frames) > 1 and self.kind not in TEXT:
            frames = alike(frames, self.known_paths)
        if self.num_test:
            num_train = len(frames) - self.num_test
            frames = [frame.with_columns(pl.lit(n >= num_train).alias(IS_TEST)) for n, frame in enumerate(frames)]
        return pl.concat(frames, how="diagonal_relaxed")

    def _rows(self, path: Path, numbered: bool, marked: bool, blanked: bool) -> pl.LazyFrame:
        if self.kind in TEXT:
            return self._text_rows(path, numbered, marked, blanked)
        frame = self._scan(path)
        frame = frame.rename(cleaned(frame.collect_schema().names()))
        frame = frame.drop("_line", strict=False) if numbered else frame
        columns = frame.collect_schema().names()
        if numbered and self.kind in JSON:
            lines = raw_lines(path).filter(pl.col("line").str.strip_chars() != "")
            frame = pl.concat([lines.select(pl.col("number").alias("_line")), frame], how="horizontal")
        elif numbered:
            frame = frame.with_row_index("_line", 1)
        return frame if self.kind == PARQUET else without(frame, pl.all_horizontal(pl.col(columns).is_null()))

    def _scan(self, path: Path) -> pl.LazyFrame:
        if self.kind == PARQUET:
            return pl.scan_parquet(path, glob=False)
        return scan_json(path, None if self.mixed else SAMPLE, self.texts)

    def json_fields(self) -> list[str]:
        """The fields of the first JSON lines of the files, without the spaces around them."""
        names = [field_names(path, SAMPLE) for path in self.paths]
        return [*dict.fromkeys(cleaned(each).get(name, name) for each in names for name in each)]

    def spaced(self, path: Path) -> tuple[str, ...]:
        """The column names of a file that have spaces around them, which are removed."""
        return (
            self.head(path).spaced if self.kind in TEXT else tuple(cleaned(self._scan(path).collect_schema().names()))
        )

    def _text_rows(self, path: Path, numbered: bool, marked: bool, blanked: bool) -> pl.LazyFrame:
        head = self.head(path)
        frame = pl.scan_csv(
            path,
            has_header=False,
            skip_lines=head.height,
            schema=dict.fromkeys(head.columns, pl.String()),
            missing_columns="insert",  # in the first row, as polars does in all others
            separator=head.separator,
            quote_char=self.quote,
            glob=False,
        )
        columns = [name for name in head.columns if not numbered or name != "_line"]
        if numbered:
            ends = pl.sum_horizontal(pl.col(head.columns).str.count_matches("\n", literal=True).fill_null(0))
            above = ends.cum_sum().shift(1, fill_value=0)
            number = pl.int_range(pl.len(), dtype=pl.Int64) + head.height + 1 + above
            frame = frame.select(number.alias("_line"), pl.col(columns))
        frame = without(frame, pl.all_horizontal(pl.col(columns).is_null()))
        if not marked:
            return without(frame, is_repeated(head))
        frame = frame.with_columns(is_repeated(head).alias(IS_HEADER))
        return frame.with_columns(pl.when(~pl.col(IS_HEADER)).then(pl.col(columns))) if blanked else frame

    def head(self, path: Path) -> Head:
        """What stands above the rows of a text file: its header, comments, and a line that names the separator.

        Raises:
            UserError: for a file that is empty, not UTF-8 text, or whose lines end in other characters than line feeds.
        """
        return read_head(path, self.header, self.separator, self.quote)

    def check_columns(self, names: Sequence[str]) -> None:
        """Checks that columns which are read occur once in the header.

        Raises:
            UserError: for a column that occurs twice.
        """
        for path, known_path in zip(self.paths, self.known_paths, strict=True):
            head = self.head(path) if self.kind in TEXT and self.header is None else None
            twice = [name for name in names if head is not None and name in head.repeated]
            if head is not None and twice:
                raise UserError(
                    f"{known_path} line {head.height} names the column {twice[0]} more than once: rename one of them, "
                    f"or name all columns with header={typed(head.columns)}, which replaces that line.",
                    "header",
                )

    @property
    def may_hide_rows(self) -> bool:
        """Whether a row may hide others in a quoted field, or have zero bytes; certain only for plain files."""
        if self.kind not in TEXT:
            return False
        needles = [b"\0"] if self.quote is None else [b"\0", self.quote.encode()]
        return any(unpacking(path) is not None or contains(path, needles) for path in self.paths)

    def search(self) -> Findings:
        """The broken lines, and what else keeps polars from reading the rows: a slow search."""
        findings = Findings()
        for path, known_path in zip(self.paths, self.known_paths, strict=True):
            if self.kind in JSON:
                findings += find_broken_json(path, known_path)
            elif self.kind in TEXT:
                findings += find_broken(path, known_path, self.head(path), self.quote)
        return findings

    def unlike(self) -> Findings:
        """The JSON lines with values of another kind than in most lines: a slow search."""
        pairs = zip(self.paths, self.known_paths, strict=True)
        return Findings([line for path, known_path in pairs for line in find_unlike(path, known_path)])

    def without_marks(self, folder: Path) -> "RawFiles":
        """Copies the files of JSON lines that start with a byte order mark to `folder`, without it."""
        marked = [self.kind in JSON and starts_with_bom(path) for path in self.paths]
        return self._copied(marked, Findings(), folder / "unmarked") if any(marked) else self

    def repaired(self, findings: Findings, folder: Path) -> "RawFiles":
        """Copies the files to a new folder, without their broken lines, and with null for NaN and Infinity in JSON."""
        return self._copied([True] * len(self.paths), findings, folder)

    def _copied(self, chosen: Sequence[bool], findings: Findings, folder: Path) -> "RawFiles":
        paths = []
        for index, (path, known_path) in enumerate(zip(self.paths, self.known_paths, strict=True)):
            paths.append(folder / f"{index}{kind_of(path)}" if chosen[index] else path)
            if chosen[index]:
                with writing(folder):
                    folder.mkdir(exist_ok=True)
                    copy_without(path, known_path, findings, paths[-1])
        return replace(self, paths=tuple(paths), named=self.known_paths)

    def broken_lines(self, broken: Sequence[BrokenLine], skip: bool) -> UserError:
        """The error for broken lines.

        Args:
            broken: The lines, at least one.
            skip: Whether they were to be left out, or cannot be.
        """
        about_quotes = any(line.fault.is_quote for line in broken)
        useless = skip or not self._has_lines_besides(broken)
        return broken_lines(self.name, broken, useless, about_quotes and self._quotes_are_text())

    def _has_lines_besides(self, broken: Sequence[BrokenLine]) -> bool:
        """Whether any row is left without the broken lines."""
        for path, known_path in zip(self.paths, self.known_paths, strict=True):
            head = self.head(path) if self.kind in TEXT else None
            height, signs = (head.height, head.separator + (self.quote or "")) if head is not None else (0, "")
            numbers = pl.Series([line.number for line in broken if line.path == known_path], dtype=pl.UInt32)
            is_left = (pl.col("number") > height) & ~pl.col("number").is_in(numbers.implode())
            is_left &= pl.col("line").str.strip_chars(signs + " \t") != ""
            if len(raw_lines(path).filter(is_left).head(1).collect(engine="streaming")):
                return True
        return False

    def _quotes_are_text(self) -> bool:
        """Whether the files can be read without quoted fields."""
        quote, as_text = self.quote, replace(self, quote=None)
        try:
            heads = {path: as_text.head(path) for path in self.paths}
        except UserError:
            return False
        return quote is not None and all(quotes_are_text(path, head, quote) for path, head in heads.items())

    @contextmanager
    def one_sentence(self) -> Iterator[None]:
        """Turns polars' errors about unreadable files into a :class:`UserError` of one sentence."""
        try:
            yield
        except (OSError, pl.exceptions.PolarsError) as error:
            raise _unreadable(self, error) from error


def _unreadable(files: RawFiles, error: Exception) -> UserError:
    if isinstance(error, pl.exceptions.NoDataError):
        blank = [known_path for known_path, file in files.each() if not file._has_lines_besides(())]
        left = UserError(f"{files.name}: no row is left without the broken lines of a file: fix some, or leave it out.")
        return empty(blank[0]) if blank else left
    for path in files.paths:
        if sentence := (damaged(path) or not_utf8(path)) if files.is_text else damaged_parquet(path):
            return sentence
    if files.is_text:
        if isinstance(error, pl.exceptions.DuplicateError) and files.kind in JSON:
            return repeated_field(files.paths)
        findings = files.search()
        if findings.broken:
            return files.broken_lines(findings.broken, skip=True)
        if findings.constants:
            path, number = next(iter(findings.constants.items()))
            fix = command(path, FROM_LINES, "null")
            return UserError(f"{path} has NaN or Infinity in {counted(number, 'line')}: write null, with {fix}.")
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return UserError(f"{files.name} cannot be read as {files.kind[1:]} ({reason}).")
