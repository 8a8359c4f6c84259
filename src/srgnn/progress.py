"""Progress of long work: a bar on a terminal and in a notebook; in a file or a pipe, a line every half a minute."""

import io
import logging
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm

SECONDS = 30  # between two lines; shorter work gets none

log = logging.getLogger(__name__)


def shows_bars(stream: TextIO) -> bool:
    """Whether a bar can move on a stream: on a terminal, or in a notebook, whose streams are not terminals."""
    return stream.isatty() or "ipykernel" in sys.modules


class Progress(tqdm):  # type: ignore[misc]
    """A bar of tqdm on standard error; where that is a file or a pipe, lines in the log.

    Args:
        iterable: The steps to go through; None to call `update` for each.
        options: Further arguments of tqdm: `desc` names the work, `total` is the number of its steps.
    """

    def __init__(self, iterable: Iterable[Any] | None = None, **options: Any):
        self.is_bar = shows_bars(sys.stderr)
        if not self.is_bar:
            # tqdm writes nothing of its own: it would move the cursor around every line that is logged.
            options |= {"file": io.StringIO(), "delay": SECONDS, "mininterval": SECONDS, "miniters": 1}
        super().__init__(iterable, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool | None:
        if self.is_bar:
            return super().display(msg, pos)  # type: ignore[no-any-return]
        if self.n < (self.total or 0):
            done = self.format_dict
            log.info("%s: %.0f %% after %.0f s", self.desc, 100 * self.n / self.total, done["elapsed"])
        return False
