"""Archives, and compressed data that polars does not unpack: the error with the command that does."""

import glob
import shlex
import zipfile
from pathlib import Path, PurePosixPath

from srgnn.data.log.raw.text import GZIP, plain_name, unpack, unpacking
from srgnn.data.log.words import counted
from srgnn.errors import UserError

ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second one is that of a zip file without files
# First bytes, what they mean, and the command that unpacks them: several files into a folder.
ARCHIVES = (
    (ZIP[0], "a zip file", ""),
    (ZIP[1], "a zip file", ""),
    (b"BZh", "bzip2 data", "bunzip2 -c {file} > {target}"),
    (b"\xfd7zXZ\x00", "xz data", "xz -dc {file} > {target}"),
    (b"\x04\x22\x4d\x18", "LZ4 data", "lz4 -dc {file} > {target}"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "7z x {file} -o{folder}"),
    (b"Rar!\x1a\x07", "a RAR archive", "unrar x {file} {folder}/"),
    (GZIP, "gzip data", ""),
)
SUFFIXES = (".zip", ".bz2", ".xz", ".7z", ".rar", ".lz4")
ADDED = ("__MACOSX", ".")  # the beginnings of names that a computer adds to a zip file
SHOWN = 5  # names


def check_archive(path: Path, start: bytes) -> None:
    """Checks that a file is not an archive, or compressed twice.

    Args:
        path: The file.
        start: The first bytes that it holds.

    Raises:
        UserError: if it is; the message has the command that unpacks it.
    """
    if start[257:262] == b"ustar":
        raise UserError(f"{path} is a tar archive: unpack it, for instance with tar -xf {shlex.quote(str(path))}.")
    for magic, what, command in ARCHIVES:
        if not start.startswith(magic):
            continue
        if unpacking(path):  # the other commands do not unpack what is around it
            raise UserError(f"{path} is {what} inside compressed data: unpack it, for instance with {unpack(path)}.")
        if magic in ZIP:
            raise _zipped(path)
        plain = plain_name(path.with_suffix("") if path.suffix.lower() in SUFFIXES else path)
        target = plain.with_name(f"{plain.stem}-unpacked{plain.suffix or '.csv'}")
        paths = {"file": path, "target": target, "folder": plain.with_name(f"{plain.stem}-unpacked")}
        fix = command.format(**{name: shlex.quote(str(each)) for name, each in paths.items()})
        raise UserError(f"{path} is {what}: unpack it, for instance with {fix}.")


def _zipped(path: Path) -> UserError:
    """The error for a zip file, with the command that unpacks its largest file."""
    try:
        with zipfile.ZipFile(path) as archive:
            files = [file for file in archive.infolist() if not file.is_dir() and not _is_added(file.filename)]
    except zipfile.BadZipFile as error:
        return UserError(f"{path} is a truncated or damaged zip file ({error}): copy it again.")
    if not files:
        return UserError(f"{path} is an empty zip file: expected a log in it.")
    names = [file.filename for file in files]
    largest = max(files, key=lambda file: file.file_size).filename
    name = PurePosixPath(largest).name
    target = path.with_name(f"unpacked-{name}" if PurePosixPath(name).suffix else f"unpacked-{name}.csv")
    source = shlex.quote(str(path))
    fix = f"unzip -p {source} {shlex.quote(glob.escape(largest))} > {shlex.quote(str(target))}"
    if len(files) == 1:
        return UserError(f"{path} is a zip file: unzip it, for instance with {fix}.")
    folder = shlex.quote(str(path.with_name(f"{path.stem}-unpacked")))
    found = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return UserError(
        f"{path} is a zip file of {counted(len(files), 'file')} ({found}): unzip the log, for instance with {fix}, or "
        f"all files with unzip {source} -d {folder} if each is a part of it, and give a glob of these in quotes."
    )


def _is_added(name: str) -> bool:
    return any(part.startswith(ADDED) for part in PurePosixPath(name).parts)
