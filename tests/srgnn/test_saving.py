import errno
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from srgnn.errors import UserError
from srgnn.saving import (
    is_locked,
    lock_folder,
    remove_leftovers,
    replace_folder,
    restore_replaced,
    temporary_folder,
    whole_file,
    whole_folder,
    write_error,
)


class Stop(Exception):
    pass


def stop_after(written: int) -> None:
    assert written
    raise Stop


def test_a_file_is_written_whole_or_left_as_it_was(tmp_path: Path):
    path = tmp_path / "new" / "a.txt"
    with whole_file(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    with pytest.raises(Stop), whole_file(path) as temporary:
        stop_after(temporary.write_text("two"))
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "new" / "data"
    with pytest.raises(Stop), whole_folder(path) as temporary:
        stop_after((temporary / "a").write_text("1"))
    assert list(path.parent.iterdir()) == []
    with whole_folder(path) as temporary:
        (temporary / "a").write_text("1")
    assert (path / "a").read_text() == "1"
    plain = tmp_path / "plain"
    plain.mkdir()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_of_two_folders_at_the_same_time_the_first_one_stays(tmp_path: Path):
    path = tmp_path / "data"
    with whole_folder(path) as slow:
        (slow / "a").write_text("slow")
        with whole_folder(path) as fast:
            (fast / "a").write_text("fast")
    assert (path / "a").read_text() == "fast"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "argument", "remedy"),
    [
        (errno.ENOSPC, None, "free some space."),
        (errno.ENOSPC, "cache", "free some space or name another folder with cache=FOLDER."),
        (errno.EACCES, "cache", "name a writable folder with cache=FOLDER."),
        (errno.EROFS, None, "choose a writable place."),
    ],
)
def test_the_remedy_fits_the_reason(number: int, argument: str | None, remedy: str):
    error = write_error("the data to here", OSError(number, os.strerror(number)), argument)
    assert str(error) == f"Cannot write the data to here ({os.strerror(number)}): {remedy}"
    assert error.arguments == ((argument,) if argument else ())


def test_an_error_that_quotes_the_system_is_understood():
    error = write_error("x", ValueError("sink failed: File too large (os error 27)"))
    assert "(File too large): free some space" in str(error)


@pytest.mark.parametrize("writer", [whole_file, whole_folder])
def test_errors_of_other_libraries_are_translated_only_if_they_quote_the_system(tmp_path: Path, writer):
    sentence = r"^Cannot write the result .*a \(No space left on device\): free some space\.$"
    with pytest.raises(UserError, match=sentence), writer(tmp_path / "a", "the result"):
        raise pl.exceptions.ComputeError("sink failed: No space left on device (os error 28)")
    for error in (pl.exceptions.ComputeError("wrong type"), UserError("x cannot be read (os error 5)")):
        with pytest.raises(type(error), match=re.escape(str(error))), writer(tmp_path / "a"):
            raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writer", [whole_file, whole_folder])
def test_a_refusal_by_the_system_gives_one_sentence(tmp_path: Path, writer):
    (tmp_path / "file").write_text("")
    sentence = r"^Cannot write the result .*: name a writable folder with folder=FOLDER\."
    with pytest.raises(UserError, match=sentence), writer(tmp_path / "file" / "a", "the result", "folder"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


WRITER = """
import sys, time
from pathlib import Path
from srgnn.saving import WRITER
with WRITER(Path(sys.argv[1])) as temporary:
    (temporary if temporary.is_dir() else temporary.parent).joinpath("half").write_text("half")
    print("written", flush=True)
    time.sleep(60)
"""


def writer(path: Path, name: str) -> subprocess.Popen[str]:
    """A process that is in the middle of writing `path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER.replace("WRITER", name), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


@pytest.mark.parametrize("name", ["whole_file", "whole_folder", "temporary_folder"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_writer_removes_what_a_killed_one_left_but_not_what_is_in_use(tmp_path: Path, name: str, number: int):
    killed, living = (writer(tmp_path / "data", name) for _ in range(2))
    assert len(list(tmp_path.iterdir())) == 2
    killed.send_signal(number)
    killed.communicate()
    assert len(list(tmp_path.iterdir())) == 2
    with whole_file(tmp_path / "other") as temporary:
        temporary.write_text("1")
    remaining = [path for path in tmp_path.iterdir() if path.name != "other"]
    assert [(path / "half").exists() or (path / ".data" / "half").exists() for path in remaining] == [True]
    living.kill()
    living.communicate()
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_folder_that_was_killed_before_it_was_locked_is_removed(tmp_path: Path):
    (tmp_path / ".srgnn-x").mkdir()
    with temporary_folder(tmp_path / "a") as one, temporary_folder(tmp_path / "a") as two:
        assert sorted(tmp_path.iterdir()) == sorted([one, two])
    assert list(tmp_path.iterdir()) == []
    remove_leftovers(tmp_path / "none")


def test_a_look_at_a_lock_does_not_take_it(tmp_path: Path):
    assert not is_locked(tmp_path / "missing")
    assert not is_locked(tmp_path)
    lock = lock_folder(tmp_path)
    assert is_locked(tmp_path)
    assert lock_folder(tmp_path) is None
    os.close(lock)
    assert not is_locked(tmp_path)


def test_a_replaced_folder_is_never_lost(tmp_path: Path):
    path = tmp_path / "last.ckpt"
    for content in ("one", "two"):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / content).touch()
        (tmp_path / "last.ckpt.old").mkdir(exist_ok=True)  # as a process leaves it that is killed while it removes it
        replace_folder(tmp_path / "new", path)
        assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]
        assert [each.name for each in path.iterdir()] == [content]
    path.rename(tmp_path / "last.ckpt.old")  # as a process leaves it that is killed between the two renames
    restore_replaced(tmp_path)
    assert [each.name for each in path.iterdir()] == ["two"]


def test_a_folder_replaces_a_file(tmp_path: Path):
    (tmp_path / "last.ckpt").touch()
    (tmp_path / "new").mkdir()
    replace_folder(tmp_path / "new", tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").is_dir()
    assert len(list(tmp_path.iterdir())) == 1
