"""Helpers that read an odd file as the rows of a log, without the rules."""

import re
import shlex
import subprocess
from pathlib import Path

import pyarrow as pa

from srgnn.data import Polars
from srgnn.data.log.columns.layout import Columns, LogFormat
from srgnn.data.log.raw.converted import converted
from srgnn.data.log.raw.files import RawFiles
from srgnn.data.log.raw.paths import find_files
from srgnn.data.log.read import Rows, read
from srgnn.errors import UserError

HEADER = "session_id,item_id,timestamp,note\n"
ROWS = [(1, 10), (1, 11), (2, 10)]
LINES = [f"{s},{i},2014-04-0{s} 10:00:0{i - 10}" for s, i in ROWS]
CSV = HEADER + "".join(f"{line},x\n" for line in LINES)


def read_rows(path: Path | str | list[str], skip: bool = False, **options) -> Rows:
    """The rows of a log, from copies in the folder `scratch` beside it."""
    files = RawFiles(find_files("path", path), **options)
    scratch = files.paths[0].parent / "scratch"
    scratch.mkdir(exist_ok=True)
    with converted(files, scratch / "plain") as plain, plain.one_sentence(), Polars().start(scratch) as tables:
        return read(plain, LogFormat(Columns()), skip, tables)


def ids(path: Path | str | list[str], skip: bool = False, **options) -> list[tuple]:
    """The session and item of every row."""
    return read_rows(path, skip, **options).table.select("key", "item").collect().rows()


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zstd(content: str | bytes) -> bytes:
    return pa.compress(content.encode() if isinstance(content, str) else content, codec="zstd", asbytes=True)


def typed(error: UserError) -> Path:
    """The file that the command of an error message writes."""
    command = re.search(r"(?:for instance with|written by|null, with) (.* > .+?)(?:\.$|, or )", str(error))
    assert command, error
    subprocess.run(command[1], shell=True, check=True)
    return Path(shlex.split(command[1])[-1])
