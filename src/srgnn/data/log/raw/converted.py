"""Copies of text files that polars cannot read: not in UTF-8, or with a separator of several characters."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from srgnn.data.log.raw.content import not_utf8
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.packed import damaged
from srgnn.data.log.raw.paths import TEXT
from srgnn.data.log.raw.text import GZIP, UNPACK, plain_name, unpack, unpacking
from srgnn.data.log.writing import writing
from srgnn.errors import UserError

UTF8 = "utf-8"
SEPARATOR = "\x1f"  # ASCII's separator of fields, in the place of several characters: no text has it


@contextmanager
def converted(files: RawFiles, folder: Path) -> Iterator[RawFiles]:
    """The files as polars reads them: themselves, or copies in UTF-8 with a separator of one character.

    An error about a copy is raised as one about the user's own file.

    Args:
        files: The files, of any kind.
        folder: A new folder for the copies.

    Raises:
        UserError: for a file that is not text in its encoding.
    """
    signs = files.separator if files.kind in TEXT and len((files.separator or "").encode()) > 1 else None
    if not files.is_text or (signs is None and files.encoding == UTF8):
        yield files
        return
    copies = []
    for number, path in enumerate(files.paths):
        plain = plain_name(path)
        copies.append(folder / str(number) / plain.name)
        with writing(folder):
            copies[-1].parent.mkdir(parents=True, exist_ok=True)
            _convert(path, copies[-1], files.encoding, signs)
    separator = SEPARATOR if signs else files.separator
    try:
        yield replace(files, paths=tuple(copies), named=files.known_paths, separator=separator, encoding=UTF8)
    except UserError as error:
        text = str(error)
        for copy, known_path in zip(copies, files.known_paths, strict=True):
            text = text.replace(str(copy.parent), str(known_path.parent))
        for written in (SEPARATOR, repr(SEPARATOR)[1:-1]):
            text = text.replace(written, signs or written)
        raise UserError(text, *error.arguments) from error


def _convert(path: Path, copy: Path, encoding: str, signs: str | None) -> None:
    """Writes a file, plain or gzip, in UTF-8, with one character for `signs`."""
    packed = unpacking(path)
    if packed not in (None, UNPACK[GZIP]):
        raise UserError(
            f"{path} has another encoding than UTF-8, or a separator of several characters, and is neither plain nor "
            f"gzip: unpack it, for instance with {unpack(path)}."
        )
    number = 0
    with gzip.open(path) if packed else path.open("rb") as source, copy.open("wb") as target:
        try:
            for line in io.TextIOWrapper(source, encoding, newline="\n"):
                target.write((line.replace(signs, SEPARATOR) if signs else line).encode())
                number += 1
        except UnicodeDecodeError as error:
            sentence = damaged(path) or (not_utf8(path) if encoding == UTF8 else None)
            text = f"{path} is not {encoding} text (below line {number:,}): name another with encoding=NAME."
            raise sentence or UserError(text, "encoding") from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise (damaged(path) or error) from error
