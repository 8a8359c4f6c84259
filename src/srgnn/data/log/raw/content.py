"""What a file holds, by its first bytes: errors for files that are neither text nor Parquet, as their names say."""

import codecs
import gzip
import json
import re
import shlex
from pathlib import Path

import polars as pl

from srgnn.data.log.raw.archives import ZIP, check_archive
from srgnn.data.log.raw.packed import START, first_bytes
from srgnn.data.log.raw.text import (
    FROM_ARRAY,
    FROM_OBJECTS,
    GZIP,
    PACKED,
    UNPACK,
    command,
    python,
    raw_lines,
    unpack,
    unpacking,
)
from srgnn.data.log.words import counted
from srgnn.errors import UserError

SAVE = "save its table as CSV"
REWRITE = "write its table as Parquet"
FOREIGN = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", SAVE),
    (b"SQLite format 3\x00", "an SQLite database", "export its table as CSV"),
    (b"ARROW1", "an Arrow file", REWRITE),
    (b"\xff\xff\xff\xff", "an Arrow stream", REWRITE),
    (b"Obj\x01", "an Avro file", REWRITE),
    ((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), "a pickle of Python", REWRITE),
    (b"\x89HDF\r\n", "an HDF5 file", REWRITE),
    (b"\x93NUMPY", "a NumPy array", REWRITE),
    (b"%PDF-", "a PDF document", SAVE),
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer", "fetch the file itself with git lfs pull"),
)
PARQUET = (b"PAR1", b"PARE")
JSON = re.compile(rb'(\[\s*)*\{\s*"')
SQL = re.compile(rb"^(INSERT INTO|CREATE TABLE|DROP TABLE|COPY \S+ *\()\s*\S", re.IGNORECASE | re.MULTILINE)
UNUSED = b"\x81\x8d\x8f\x90\x9d"  # the bytes that cp1252 does not have
# Characters that end lines for some programs, besides \n and \r\n, and their names.
LINE_ENDS = {
    **{"\r": "carriage returns alone", "\u2028": "line separators (U+2028)", "\u2029": "paragraph separators (U+2029)"},
    **{"\x85": "next-line characters (U+0085)", "\x0b": "vertical tabs", "\x0c": "form feeds"},
    "\x1e": "record separators (0x1E)",
}
MARKS = {
    **dict.fromkeys((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE), "utf-32"),
    **dict.fromkeys((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-16"),
}
# Which of four bytes are zero in most of a text: those beside the letters, of Latin and of other scripts.
ZEROS: dict[tuple[bool, ...], str] = {
    (False, True, False, True): "utf-16le",
    (True, False, True, False): "utf-16be",
    (False, True, True, True): "utf-32le",
    (False, False, True, True): "utf-32le",
    (True, True, True, False): "utf-32be",
    (True, True, False, False): "utf-32be",
}
CONTROLS = re.compile("[\0\x02-\x08\x0e-\x1d\ufffd]")


def check_content(path: Path, is_parquet: bool, is_json: bool) -> None:
    """Checks that a file is not of another kind than its name says.

    Args:
        path: The file.
        is_parquet: Whether its name calls it Parquet.
        is_json: Whether its name calls it JSON lines.

    Raises:
        UserError: if it is; the message says what it holds and how to convert it.
    """
    start = first_bytes(path)
    _check_foreign(path, start)
    check_archive(path, start)
    content = start.removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith(PARQUET) and unpacking(path):
        fix = unpack(path, ".parquet")
        raise UserError(f"{path} is a compressed Parquet file: unpack it, for instance with {fix}.")
    if is_parquet:
        if start and not start.startswith(PARQUET):
            text = ".jsonl" if JSON.match(content) else ".csv"
            raise UserError(f"{path} is not a Parquet file: if it is text, rename it, {_rename(path, text)}.")
        return
    if start.startswith(PARQUET):
        raise UserError(f"{path} is a Parquet file: rename it, {_rename(path, '.parquet')}.")
    _check_encoding(path, start)
    sign = _line_end(start, is_json)
    if sign is not None:
        raise other_line_ends(path, sign)
    if content[:14].lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise UserError(f"{path} is an HTML or XML page, not a log: download the log itself.")
    if SQL.search(content):
        raise UserError(f"{path} is an SQL dump: load it into a database, and {FOREIGN[1][2]}.")
    if is_json:
        _check_json(path, content)
    elif JSON.match(content):
        raise UserError(f"{path} holds JSON: rename it, {_rename(path, '.jsonl')}.")


def other_line_ends(path: Path, sign: str) -> UserError:
    """The error for a file with lines that end in a character other than a line feed, one of `LINE_ENDS`."""
    program = rf"tr '\{ord(sign):03o}' '\n'" if sign.isascii() else python(_replacing(sign))
    fix = command(path, r"tr '\r' '\n'" if sign == "\r" else program, "lines")
    return UserError(f"{path} has lines that end in {LINE_ENDS[sign]}: convert it, for instance with {fix}.")


def utf16(path: Path, encoding: str = "utf-16") -> UserError:
    """The error for a file in UTF-16 or UTF-32."""
    fix = command(path, f"iconv -f {encoding} -t utf-8", "utf8")
    return UserError(f"{path} is {encoding[:6].upper()} text, not UTF-8: convert it, for instance with {fix}.")


def damaged_parquet(path: Path) -> UserError | None:
    """The error for a Parquet file that cannot be read; None if it can be."""
    try:
        pl.scan_parquet(path, glob=False).select(pl.all().count()).collect(engine="streaming")
        return None
    except (OSError, pl.exceptions.PolarsError) as error:
        text = f"{path} cannot be read as parquet ({str(error).splitlines()[0]})"
        if isinstance(error, pl.exceptions.DuplicateError):
            return UserError(f"{text}: write it with another name for one of these columns.")
        return UserError(f"{text}: copy it again if it is truncated, or write it anew.")


def not_utf8(path: Path) -> UserError | None:
    """The error for a text file with bytes that are not UTF-8, with the first such line; None if there are none."""
    line = pl.col("line")
    try:
        raw_lines(path).select(line.str.len_bytes().sum()).collect(engine="streaming")
        return None
    except pl.exceptions.ComputeError:
        lines = raw_lines(path, lossy=True)
    damaged = lines.filter(line.str.contains("\ufffd", literal=True))
    first = damaged.head(1).collect(engine="streaming").rows()
    if not first:
        return None
    number, text = first[0]
    place = f"line {number}: {text[:60]!r}"
    if lines.filter(line.str.contains("[^\\x00-\\x7f\ufffd]")).head(1).collect(engine="streaming").height:
        count = damaged.select(pl.len()).collect(engine="streaming").item()
        return UserError(
            f"{path} has letters in UTF-8 and, in {counted(count, 'line')}, bytes that are not UTF-8 "
            f"({place}): write all of it in UTF-8; where files in two encodings were joined, convert each by itself."
        )
    encoding = _encoding(path)
    return UserError(
        f"{path} is not UTF-8 text ({place}): if its encoding is {encoding}, set encoding={encoding}.", "encoding"
    )


def _encoding(path: Path) -> str:
    """The encoding of Western text: cp1252, which is latin1 with signs such as the euro, or latin1 if it has others."""
    packed = unpacking(path)
    if packed in (None, UNPACK[GZIP]):
        with gzip.open(path) if packed else path.open("rb") as file:
            while part := file.read(START):
                if part.translate(None, UNUSED) != part:
                    return "latin1"
    return "cp1252"


def starts_with_bom(path: Path) -> bool:
    """Whether a text file, plain or compressed, starts with the byte order mark of UTF-8."""
    if unpacking(path) is None:
        return first_bytes(path).startswith(codecs.BOM_UTF8)
    try:
        return pl.scan_lines(path, glob=False).head(1).collect()["line"].str.starts_with("\ufeff").any()
    except (OSError, pl.exceptions.PolarsError):  # damaged, or not UTF-8
        return False


def _check_foreign(path: Path, start: bytes) -> None:
    if start.startswith(ZIP) and (b"[Content_Types].xml" in start or b"mimetypeapplication/vnd.oasis" in start):
        raise UserError(f"{path} is an Excel or OpenDocument workbook: {SAVE}.")
    for magic, what, remedy in FOREIGN:
        if start.startswith(magic):
            raise UserError(f"{path} is {what}: {remedy}.")
    if start.startswith(b"ORC") and b"\0" in start:  # a name may begin so, too
        raise UserError(f"{path} is an ORC file: {REWRITE}.")
    if start and not start.strip(b"\0"):
        raise UserError(f"{path} holds nothing but zero bytes: copy it again.")


def _check_encoding(path: Path, start: bytes) -> None:
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            raise utf16(path, encoding)
    first = start[:1000]
    encoding = ZEROS.get(tuple(2 * first[place::4].count(0) > len(first[place::4]) for place in range(4)), "")
    # At the ends of a file, there may be zero bytes alone, half of a character, or a mark that is lost in zstd data.
    if encoding and not CONTROLS.search(first.decode(encoding, "replace").strip("\0\ufffd")):
        raise utf16(path, encoding)


def _line_end(start: bytes, is_json: bool) -> str | None:
    """The character that ends lines in the first bytes of a file without any line feed; None if none does."""
    if b"\n" in start:
        return None
    for sign in LINE_ENDS:
        # Texts in JSON may hold such characters.
        if re.search((b"[}\\]]\\s*" if is_json and sign != "\r" else b"") + sign.encode(), start):
            return sign
    return None


def _replacing(sign: str) -> str:
    """The line of Python that writes a line feed in place of a character."""
    escaped = repr(sign.encode())[2:-1]
    return f'import sys; [sys.stdout.buffer.write(line.replace(b"{escaped}", b"\\n")) for line in sys.stdin.buffer]'


def _check_json(path: Path, text: bytes) -> None:
    first, _, rest = text.partition(b"\n")
    first = first.strip()
    expected = "expected one JSON object per line"
    if first == b"[" or (first.startswith(b"[") and first[1:].lstrip().startswith(b"{")):
        fix = command(path, FROM_ARRAY, "lines")
        if unpacking(path) is None and not _last_bytes(path).rstrip().endswith(b"]"):
            raise UserError(f"{path} is one JSON array that is cut off: copy it again.")
        raise UserError(f"{path} is one JSON array: {expected}, as written by {fix}.")
    signs = [sign for sign in (b",", b";", b"\t", b"|") if sign in first]
    if signs and not {*b"{["} & {*text}:
        raise UserError(f"{path} is not JSON lines: if it is CSV, rename it, {_rename(path, '.csv')}.")
    if first.startswith(b"{") and rest.strip() and not rest.lstrip().startswith(b"{") and not _is_json(first):
        fix = command(path, FROM_OBJECTS, "lines")
        raise UserError(f"{path} has JSON objects of several lines: {expected}, as written by {fix}.")


def _last_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - START))
        return file.read()


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _rename(path: Path, suffix: str) -> str:
    new = path.with_name(path.name.partition(".")[0] + suffix + (path.suffix if path.suffix.lower() in PACKED else ""))
    return f"for instance with mv {shlex.quote(str(path))} {shlex.quote(str(new))}"
