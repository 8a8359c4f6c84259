"""Separators that are not detected: the signs between the words of a line, and a file that has several of them."""

import re
from collections import Counter
from pathlib import Path

from srgnn.data.log.raw.text import command, python
from srgnn.errors import UserError

SIGNS = re.compile(r"""(?<=[\w"'])[^\w"']+(?=[\w"'])""")


def find_signs(line: str) -> str:
    """The signs that stand most often between two words of a line, without spaces around them; empty if none does."""
    counts = Counter(SIGNS.findall(line))
    signs = max(counts, key=counts.__getitem__, default="")
    return signs.strip() or signs


def long_separator(path: Path, signs: str) -> UserError:
    """The error for a file whose separator has several characters."""
    escaped = repr(signs.encode())[2:-1]
    code = f'import sys; [sys.stdout.buffer.write(line.replace(b"{escaped}", b"\\t")) for line in sys.stdin.buffer]'
    fix = command(path, python(code), "tabs", ".tsv")
    return UserError(
        f"{path} has the separator {signs!r} of several characters: expected one; convert it, for instance with {fix}."
    )
