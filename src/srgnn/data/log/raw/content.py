"""What a file holds, by its first bytes: errors for files that are neither text nor Parquet, as their names say."""

import codecs
import gzip
import json
import re
import shlex
import zlib
from pathlib import Path

import polars as pl

from srgnn.data.log.raw.text import FROM_ARRAY, FROM_OBJECTS, UNPACK, command, python, raw_lines
from srgnn.data.log.words import counted
from srgnn.errors import UserError

START = 65_536  # bytes: enough for the first rows
GZIP = b"\x1f\x8b"
OPAQUE = (b"\x28\xb5\x2f\xfd", b"x\x01", b"x\x9c", b"x\xda")  # zstd and zlib, which polars unpacks
UNZIP = "unzip -p"
# First bytes, what they mean, and the command that unpacks it.
ARCHIVES = (
    (b"PK\x03\x04", "a zip file", UNZIP),
    (b"PK\x05\x06", "an empty zip file", UNZIP),
    (b"BZh", "bzip2 data", "bunzip2 -c"),
    (b"\xfd7zXZ\x00", "xz data", "xz -dc"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "7z x -so"),
    (b"Rar!\x1a\x07", "a RAR archive", "unrar p -inul"),
    (b"\x04\x22\x4d\x18", "LZ4 data", "lz4 -dc"),
    (GZIP, "gzip data inside gzip data", "gunzip -c"),
)
SAVE = "save its table as CSV"
FOREIGN = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", SAVE),
    (b"SQLite format 3\x00", "an SQLite database", "export its table as CSV"),
    (b"ARROW1", "an Arrow file", "write its table as Parquet"),
    (b"Obj\x01", "an Avro file", "write its table as Parquet"),
    (b"%PDF-", "a PDF document", SAVE),
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer", "fetch the file itself with git lfs pull"),
)
PARQUET = (b"PAR1", b"PARE")
UNUSED = b"\x81\x8d\x8f\x90\x9d"  # the bytes that cp1252 does not have
# Characters that end lines for some programs, besides \n and \r\n, and their names.
LINE_ENDS = {
    **{"\r": "carriage returns alone", "\u2028": "line separators (U+2028)", "\u2029": "paragraph separators (U+2029)"},
    **{"\x85": "next-line characters (U+0085)", "\x0b": "vertical tabs", "\x0c": "form feeds"},
    "\x1e": "record separators (0x1E)",
}
UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def first_bytes(path: Path) -> bytes:
    """The first bytes of a file, of gzip data those that it holds; none of zstd data or a damaged file.

    Raises:
        UserError: for a file without permission to read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(START)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): ask for permission to read it.") from error
    if start.startswith(OPAQUE):
        return b""
    if not start.startswith(GZIP):
        return start
    try:
        with gzip.open(path) as unpacked:
            return unpacked.read(START)
    except (OSError, EOFError, zlib.error):
        return b""


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
    _check_packed(path, start)
    if is_parquet:
        if start and not start.startswith(PARQUET):
            text = ".jsonl" if start.lstrip().startswith(b"{") else ".csv"
            raise UserError(f"{path} is not a Parquet file: if it is text, rename it, {_rename(path, text)}.")
        return
    if start.startswith(PARQUET):
        raise UserError(f"{path} is a Parquet file: rename it, {_rename(path, '.parquet')}.")
    _check_encoding(path, start)
    sign = _line_end(start, is_json)
    if sign is not None:
        raise other_line_ends(path, sign)
    content = start.removeprefix(codecs.BOM_UTF8).lstrip()
    if content[:14].lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise UserError(f"{path} is an HTML or XML page, not a log: download the log itself.")
    if is_json:
        _check_json(path, content)
    elif content.startswith(b'{"'):
        raise UserError(f"{path} holds JSON objects: rename it, {_rename(path, '.jsonl')}.")


def other_line_ends(path: Path, sign: str) -> UserError:
    """The error for a file with lines that end in a character other than a line feed, one of `LINE_ENDS`."""
    program = rf"tr '\{ord(sign):03o}' '\n'" if sign.isascii() else python(_replacing(sign))
    fix = command(path, r"tr '\r' '\n'" if sign == "\r" else program, "lines")
    return UserError(f"{path} has lines that end in {LINE_ENDS[sign]}: convert it, for instance with {fix}.")


def utf16(path: Path, encoding: str = "utf-16") -> UserError:
    """The error for a file in UTF-16 or UTF-32."""
    fix = command(path, f"iconv -f {encoding} -t utf-8", "utf8")
    return UserError(f"{path} is {encoding[:6].upper()} text, not UTF-8: convert it, for instance with {fix}.")


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
    if first_bytes(path):
        with gzip.open(path) if _is_gzip(path) else path.open("rb") as file:
            while part := file.read(START):
                if part.translate(None, UNUSED) != part:
                    return "latin1"
    return "cp1252"


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(GZIP)) == GZIP


def starts_with_bom(path: Path) -> bool:
    """Whether a text file, plain or compressed, starts with the byte order mark of UTF-8."""
    start = first_bytes(path)
    if start:
        return start.startswith(codecs.BOM_UTF8)
    try:
        return pl.scan_lines(path, glob=False).head(1).collect()["line"].str.starts_with("\ufeff").any()
    except (OSError, pl.exceptions.PolarsError):  # damaged, or not UTF-8
        return False


def _check_packed(path: Path, start: bytes) -> None:
    if start[257:262] == b"ustar":
        raise UserError(f"{path} is a tar archive: unpack it, for instance with tar -xf {shlex.quote(str(path))}.")
    if start.startswith(b"PK") and (b"[Content_Types].xml" in start or b"mimetypeapplication/vnd.oasis" in start):
        raise UserError(f"{path} is an Excel or OpenDocument workbook: {SAVE}.")
    for magic, what, program in ARCHIVES:
        if start.startswith(magic):
            plain = path.with_suffix("") if path.suffix.lower() in (".zip", ".bz2", ".xz", ".7z", ".rar") else path
            plain = plain.with_suffix("") if plain.suffix.lower() in UNPACK else plain
            target = plain.with_name(f"{plain.stem}-unpacked{plain.suffix or '.csv'}")
            fix = f"{program} {shlex.quote(str(path))} > {shlex.quote(str(target))}"
            verb = "unzip" if program == UNZIP else "unpack"
            raise UserError(f"{path} is {what}: {verb} it, for instance with {fix}.")
    for magic, what, remedy in FOREIGN:
        if start.startswith(magic):
            raise UserError(f"{path} is {what}: {remedy}.")


def _check_encoding(path: Path, start: bytes) -> None:
    if start.startswith(UTF32):
        raise utf16(path, "utf-32")
    if start.startswith(UTF16):
        raise utf16(path)
    first = start[:1000]
    for encoding, zeros, letters in (("utf-16le", first[1::2], first[::2]), ("utf-16be", first[::2], first[1::2])):
        # A zero byte stands beside every Latin letter; at the end of a file, there may be zero bytes alone.
        if len(zeros) and 2 * zeros.count(0) > len(zeros) and 2 * letters.count(0) < len(letters):
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
        raise UserError(f"{path} is one JSON array: {expected}, as written by {fix}.")
    if first.startswith(b"{") and rest.strip() and not rest.lstrip().startswith(b"{") and not _is_json(first):
        fix = command(path, FROM_OBJECTS, "lines")
        raise UserError(f"{path} has JSON objects of several lines: {expected}, as written by {fix}.")


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _rename(path: Path, suffix: str) -> str:
    new = path.with_name(path.name.partition(".")[0] + suffix + (path.suffix if path.suffix.lower() in UNPACK else ""))
    return f"for instance with mv {shlex.quote(str(path))} {shlex.quote(str(new))}"
