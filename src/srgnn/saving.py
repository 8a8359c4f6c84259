"""Files and folders that are written whole or not at all: under a temporary name first, then renamed."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from srgnn.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def error_number(error: Exception) -> int | None:
    """The `errno` of a system error, or of a library's error that quotes one (`... (os error 28)`)."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    quoted = re.search(r"os error (\d+)", str(error))
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
    """Yields a temporary path beside `path`, and renames it to `path` once the block has ended without an error.

    Args:
        path: The file to write; its folder is created.
        what: Description of the file for the error message, such as `the result`.
        argument: Name of the argument that chooses the folder, if there is one.

    Raises:
        UserError: if the system refuses to write; `path` is then as it was before.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        with _write_errors(f"{what} {path}".strip(), argument):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def whole_folder(path: Path, what: str = "", argument: str | None = None) -> Iterator[Path]:
    """Yields a temporary folder beside `path`, and renames it to `path`; of two at the same time, the first one stays.

    Args and errors are those of :func:`whole_file`.
    """
    temporary = None
    try:
        with _write_errors(f"{what} {path}".strip(), argument):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
            yield temporary
            temporary.chmod(0o755)  # mkdtemp makes it readable by its owner only
            try:
                temporary.rename(path)
            except OSError:
                if not path.is_dir():
                    raise
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
