"""Text files of rows, line by line: their raw lines, the fields of a line, and commands that convert a file."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import polars as pl

from srgnn.data.checksums import PIECE
from srgnn.errors import typed

IN_QUOTES = r"^'[\s\S]*'$"  # the pattern of text in single quotes
SINGLE_QUOTE = typed("'")  # as it is typed after quote=
NO_SEPARATOR = "\x01"  # reads lines as one column, if they do not have it
PACKED = (".gz", ".zst")


class State(Enum):
    """Where a line of quoted text ends."""

    CLOSED = "outside quotes"
    OPEN = "inside a quoted field, which continues on the next line"
    STRAY = "not at all: a closing quote is followed by more text of the field"


@dataclass(frozen=True)
class Parsed:
    """A line split at its separators.

    Args:
        fields: The fields without the quotes around them.
        state: Where the line ends.
        odd: Whether the unquoted fields contain an odd number of quotes.
    """

    fields: list[str]
    state: State
    odd: bool = False


def parse(line: str, separator: str, quote: str | None, inside: bool = False) -> Parsed:
    """Splits a line as polars does: a quote opens a field only at its start, and is written twice within one.

    Args:
        line: The line, without its end.
        separator: The field separator.
        quote: The character around fields; None where there is none.
        inside: Whether the line continues a quoted field.
    """
    if quote is None:
        return Parsed(line.split(separator), State.CLOSED)
    fields: list[str] = []
    start, loose = 0, 0
    while start <= len(line):
        if not inside and not line.startswith(quote, start):
            end = line.find(separator, start)
            end = len(line) if end < 0 else end
            fields.append(line[start:end])
            loose += fields[-1].count(quote)
        else:
            first = start if inside else start + 1
            end, inside = line.find(quote, first), False
            while end >= 0 and line.startswith(quote, end + 1):
                end = line.find(quote, end + 2)
            fields.append(line[first : end if end >= 0 else None].replace(quote * 2, quote))
            if end < 0:
                return Parsed(fields, State.OPEN, bool(loose % 2))
            end += 1
            if end < len(line) and not line.startswith(separator, end):
                return Parsed(fields, State.STRAY, bool(loose % 2))
        start = end + 1
    return Parsed(fields, State.CLOSED, bool(loose % 2))


def raw_lines(path: Path, lossy: bool = False) -> pl.LazyFrame:
    """The lines of a text file, plain or compressed: `number`, counted from 1, and `line`.

    Args:
        path: The file.
        lossy: Whether to replace bytes that are not UTF-8 by U+FFFD, instead of raising an error; a line then ends
            at the character 0x01.
    """
    line = pl.col("line").str.strip_chars_end("\r")
    if not lossy:
        lines = pl.scan_lines(path, name="line", row_index_name="number", row_index_offset=1, glob=False)
        return lines.select("number", line.str.strip_prefix("\ufeff"))
    lines = pl.scan_csv(
        path,
        has_header=False,
        schema={"line": pl.String()},
        separator=NO_SEPARATOR,
        quote_char=None,
        truncate_ragged_lines=True,
        extra_columns="ignore",
        encoding="utf8-lossy",
        glob=False,
    )
    return lines.with_row_index("number", 1).with_columns(line.fill_null(""))


def without(frame: pl.LazyFrame, condition: pl.Expr) -> pl.LazyFrame:
    """The rows for which a condition on all columns does not hold.

    It is a column of its own: polars would push it into the reading of a file, where a thousand columns take minutes.
    """
    return frame.with_columns(_left_out=condition).filter(~pl.col("_left_out")).drop("_left_out")


def contains(path: Path, characters: Sequence[bytes]) -> bool:
    """Whether a file has one of several characters of one byte."""
    # Not a mapped file: its pages count as memory of the process, as much as the file is large.
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            if any(character in piece for character in characters):
                return True
    return False


def one(character: str) -> str:
    """A character as part of a regular expression, inside brackets or not."""
    return f"\\x{{{ord(character):x}}}"


def python(code: str) -> str:
    """The shell command that runs a line of Python."""
    return f"python -c {shlex.quote(code)}"


UNZLIB = python("import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))")
# The first bytes of compressed data that polars unpacks, whatever the name of the file, and the programs that do so.
GZIP = b"\x1f\x8b"
UNPACK = {GZIP: "gunzip -c", b"\x28\xb5\x2f\xfd": "zstd -dc", **dict.fromkeys((b"x\x01", b"x\x9c", b"x\xda"), UNZLIB)}


def unpacking(path: Path) -> str | None:
    """The program that unpacks a file, which reads its input and writes its output; None for a file that is plain."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((program for magic, program in UNPACK.items() if start.startswith(magic)), None)


def plain_name(path: Path) -> Path:
    """The name of a file without the suffix of its compression."""
    return path.with_suffix("") if path.suffix.lower() in PACKED else path


def unpack(path: Path, suffix: str | None = None) -> str:
    """The shell command that writes the contents of a compressed file into a new file beside it, as :func:`command`."""
    return f"{unpacking(path)} < {shlex.quote(str(path))} > {_beside(path, 'unpacked', suffix)}"


# JSON lines of other JSON. Not by jq, which rounds integers of 2^53 or more, so that two ids become one.
FROM_ARRAY = python(
    r'import json, re, sys; text = re.sub(rb",\s*\]\s*$", b"]", sys.stdin.buffer.read()); '
    "[print(json.dumps(row)) for row in json.loads(text)]"
)
FROM_OBJECTS = python(
    'import json, re, sys; text = sys.stdin.buffer.read().decode("utf-8-sig"); '
    r'text = re.sub(r"(\x22(?:\\.|[^\x22\\])*\x22)|}\s*{", lambda match: match[1] or "},{", text); '
    '[print(json.dumps(row)) for row in json.loads(f"[{text}]")]'
)
FROM_LINES = python(
    "import json, sys; [print(json.dumps(json.loads(line, parse_constant=lambda name: None))) "
    "for line in sys.stdin.buffer if line.strip()]"
)


def command(path: Path, program: str, word: str, suffix: str | None = None) -> str:
    """The shell command that sends a file through a program into a new file beside it.

    Args:
        path: The file, plain or compressed.
        program: The program, which reads its input and writes its output, such as `iconv -f latin1 -t utf-8`.
        word: What is added to the name of the new file, such as `utf8`.
        suffix: The suffix of the new file; None keeps that of the file.
    """
    source = shlex.quote(str(path))
    target = _beside(path, word, suffix)
    packed = unpacking(path)
    return f"{packed} < {source} | {program} > {target}" if packed else f"{program} < {source} > {target}"


def _beside(path: Path, word: str, suffix: str | None) -> str:
    """The new file beside a file, as it is typed."""
    plain = plain_name(path)
    return shlex.quote(str(plain.with_name(f"{plain.stem}-{word}{suffix or plain.suffix}")))
