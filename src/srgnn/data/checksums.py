"""Checksums of files: SHA-256 of sources, and CRC-32 of our own, which is fast enough for every load."""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from srgnn.errors import UserError

FILE = "checksums.txt"
PIECE = 1 << 22  # bytes that are read at once


def checksum(path: Path) -> int:
    """The checksum of one file."""
    found = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            found = zlib.crc32(piece, found)
    return found


def sha256_of(path: Path) -> str:
    """The SHA-256 of one file, in hexadecimal digits.

    Raises:
        UserError: for a file without permission to read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): ask for permission to read it.") from error


def write_checksums(folder: Path, names: Sequence[str]) -> None:
    """Writes `checksums.txt`: a line with checksum and name for each of the files."""
    (folder / FILE).write_text("".join(_lines(folder, names)))


def verify_checksums(folder: Path, names: Sequence[str]) -> None:
    """Compares the files with the checksums that :func:`write_checksums` wrote.

    Raises:
        UserError: if a bit differs, or there are no checksums.
        OSError: if a file cannot be read.
    """
    if folder.is_dir() and not (folder / FILE).exists():
        raise UserError(
            f"The prepared data in {folder} has no {FILE} (an older version of this program wrote it, or the file was "
            "removed): delete that folder."
        )
    lines, written = list(_lines(folder, names)), (folder / FILE).read_bytes()
    if written != "".join(lines).encode():
        damaged = ", ".join(line.split()[1] for line in lines if line.encode() not in written) or FILE
        raise UserError(f"The prepared data in {folder} is damaged ({damaged}): delete that folder.")


def _lines(folder: Path, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield f"{checksum(folder / name):08x}  {name}\n"
