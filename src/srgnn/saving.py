"""Files and folders that are written whole or not at all: under a temporary name first, then renamed."""

import errno
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from srgnn.errors import UserError

TEMPORARY = ".srgnn-"  # how the names of temporary folders begin
LOCK = ".lock"  # the file in a folder that processes lock
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def error_number(error: Exception) -> int | None:
    """The `errno` of a system error, or of a library's error that quotes one (`os error 28`, `"errno":"28"`)."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    quoted = re.search(r"(?:os error |\"errno\":\")(\d+)", str(error))
    return int(quoted[1]) if quoted else None


def write_error(what: str, error: Exception, argument: str | None = None) -> UserError:
    """The error for something that could not be written.

    Args:
        what: What was to be written and where, such as `the checkpoint runs/last.ckpt`.
        error: The system error, or a library's error that quotes one (`... (os error 28)`).
        argument: Name of the argument that chooses the folder, if there is one.
    """
    number = error_number(error)
    reason = os.strerror(number) if number else str(error).partition("\n")[0] or type(error).__name__
    remedies = ["free some space"] if number in FULL else []
    if argument is not None:
        remedies.append(f"name {'another' if remedies else 'a writable'} folder with {argument}=FOLDER")
    remedy = " or ".join(remedies) or "choose a writable place"
    return UserError(f"Cannot write {what} ({reason}): {remedy}.", *([argument] if argument else []))


def is_full(error: BaseException | None) -> bool:
    """Whether a full disk is the cause of an error."""
    while isinstance(error, UserError):
        error = error.__cause__
    return isinstance(error, Exception) and error_number(error) in FULL


@contextmanager
def _write_errors(what: str, argument: str | None) -> Iterator[None]:
    """Turns system errors, and library errors that quote one, into a :func:`write_error`; others pass through."""
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or error_number(error) is None:
            raise
        raise write_error(what, error, argument) from error


@contextmanager
def whole_file(path: Path, what: str = "", argument: str | None = None) -> Iterator[Path]:
    """Yields a temporary path, and renames it to `path` once the block has ended without an error.

    Args:
        path: The file to write; its folder is created.
        what: Description of the file for the error message, such as `the result`.
        argument: Name of the argument that chooses the folder, if there is one.

    Raises:
        UserError: if the system refuses to write; `path` is then as it was before.
    """
    with _write_errors(f"{what} {path}".strip(), argument), temporary_folder(path, what, argument) as folder:
        temporary = folder / f".{path.name}"  # not its name: other programs look for that in all folders
        yield temporary
        temporary.replace(path)


@contextmanager
def whole_folder(path: Path, what: str = "", argument: str | None = None) -> Iterator[Path]:
    """Yields a temporary folder, and renames it to `path`; of two at the same time, the first one stays.

    Args and errors are those of :func:`whole_file`.
    """
    with _write_errors(f"{what} {path}".strip(), argument), temporary_folder(path, what, argument) as folder:
        temporary = folder / f".{path.name}"
        temporary.mkdir()
        yield temporary
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace_folder(new: Path, path: Path) -> None:
    """Renames the folder `new` to `path` and removes what was there, whose name ends in `.old` for a moment."""
    old = path.with_name(f"{path.name}.old")
    if path.exists():
        remove(old)
        path.replace(old)
    new.replace(path)
    remove(old)


def restore_replaced(folder: Path) -> None:
    """Gives what a killed process was replacing in a folder (:func:`replace_folder`) its name again."""
    for old in folder.glob("*.old"):
        if not old.with_suffix("").exists():
            old.replace(old.with_suffix(""))


@contextmanager
def temporary_folder(path: Path, what: str = "", argument: str | None = None) -> Iterator[Path]:
    """Yields a new hidden folder beside `path`, and removes it at the end.

    A killed process leaves its folder behind; the next one that writes there removes it. A lock, which the system
    releases with the process, tells a folder in use from one left behind.

    Args:
        path: The file or folder that is being made; the folder that holds it is created.
        what: Description of `path` for the error message, such as `the prepared data`.
        argument: Name of the argument that chooses the folder, if there is one.

    Raises:
        UserError: if the system refuses to create the folder.
    """
    with _write_errors(f"{what} {path}".strip(), argument):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        folder, lock = _locked_folder(path.parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def parts_folder(path: Path) -> Iterator[Path]:
    """Yields the folder `PATH.parts` for this process alone, and removes it at the end; after an error it stays.

    Args:
        path: The file that is made of the parts.

    Raises:
        UserError: if another process has the folder, or the system refuses to create it.
    """
    folder = path.with_name(f"{path.name}.parts")
    with _write_errors(str(folder), "output"):
        folder.mkdir(exist_ok=True)
        lock = lock_folder(folder)
    if lock is None:
        raise UserError(
            f"Another process is writing {path}: wait for its end, or choose another output=FILE.", "output"
        )
    try:
        yield folder
        remove(folder)
    finally:
        os.close(lock)


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary folders inside `folder` that killed processes left; those in use stay."""
    for leftover in folder.glob(f"{TEMPORARY}*"):
        with suppress(OSError):  # in use, not ours to remove, or removed by another process meanwhile
            lock = _open_lock(leftover)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover, ignore_errors=True)
            finally:
                os.close(lock)


def _locked_folder(parent: Path) -> tuple[Path, int]:
    """Creates a temporary folder; returns it and the descriptor of its lock, which this process holds."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=parent))
        with suppress(FileNotFoundError):
            lock = _open_lock(folder)
            with suppress(OSError):  # a file system without locks: nobody can lock the folder to remove it, either
                fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                return folder, lock
            os.close(lock)
        # Another process took the folder for a leftover before it was locked.


def lock_folder(folder: Path) -> int | None:
    """Locks a folder until the process ends or the returned descriptor is closed; None if it is locked already.

    On a file system without locks, every process gets the folder.
    """
    lock = _open_lock(folder)
    for seconds in (0, 0.01, 0.02, 0.04):  # `is_locked` of another process holds the lock for a moment
        time.sleep(seconds)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            continue
        except OSError:
            return lock
    os.close(lock)
    return None


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a folder, or the folder is another user's."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:  # never locked, or removed meanwhile
        return False
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look do not see each other
    except BlockingIOError:
        return True
    except OSError:
        pass
    finally:
        os.close(lock)
    return False


def _open_lock(folder: Path) -> int:
    return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)


class ObservedFile:
    """A file that remembers why a write failed: torch raises an error of its own that does not give the reason."""

    def __init__(self, file: IO[bytes]):
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def write_tensors(content: Mapping[str, Any], path: Path) -> None:
    """Writes a file that `torch.load` reads, straight from the tensors, without a copy in memory.

    Raises:
        OSError: if the system refuses to write.
    """
    import torch  # takes seconds to load, and most of what is written here needs none of it

    with path.open("wb") as file:
        observed = ObservedFile(file)
        try:
            torch.save(content, observed)
        except Exception:
            if observed.error is not None:
                raise observed.error from None
            raise
