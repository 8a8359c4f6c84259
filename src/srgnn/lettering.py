"""Text of pictures: names, titles and step numbers broken into lines, and their sizes. Needs matplotlib.

Lengths are in points (1/72 inch); sizes are complex numbers, as in :mod:`srgnn.draw`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import groupby

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

LINE = 1.25  # height of a line, in font sizes
MARGIN = 8 + 8j  # around the picture


def shorten(name: str, length: int) -> str:
    """The name, or its two ends around an ellipsis if it has more than `length` characters."""
    head = length // 2
    return name if len(name) <= length else name[:head] + "…" + name[len(name) - (length - head - 1) :]


def wrap_name(name: str, length: int, lines: int) -> str:
    """The name in at most `lines` lines of `length` characters: broken after separators, shortened where necessary."""
    for total in range(length * lines, length - 1, -1):
        # A piece is a run of up to `length` characters with the separator that follows it.
        pieces = re.findall(rf"[^-_/.:,?&=\s]{{1,{length - 1}}}[-_/.:,?&=\s]?|[-_/.:,?&=\s]", shorten(name, total))
        wrapped = _fill(pieces, len, length)
        if len(wrapped) <= lines:
            break
    return "\n".join(wrapped)


def wrap_title(names: Sequence[str], width: float, font: float, lines: int) -> tuple[str, float]:
    """The title `A → B → C`, or `A → B → … → Z` where `width` is too narrow, and the height that it takes."""
    for head in range(len(names), 0, -1):
        path = names if head == len(names) else [*names[: head - 1], "…", names[-1]]
        pieces = [f"{name} → " for name in path[:-1]] + [path[-1]]
        wrapped = _fill(pieces, lambda piece: text_size(piece, font).real, width - 2 * MARGIN.real)
        if len(wrapped) <= lines:
            break
    return "\n".join(wrapped), len(wrapped) * LINE * font + MARGIN.imag


def step_ranges(steps: Iterable[int], per_line: int = 5) -> str:
    """Ascending step numbers as text, at most `per_line` per line; three or more consecutive ones become a range."""
    parts: list[str] = []
    for _, group in groupby(enumerate(steps), key=lambda pair: pair[1] - pair[0]):
        run = [str(step) for _, step in group]
        parts += [f"{run[0]}\u2013{run[-1]}"] if len(run) > 2 else run
    return ",\n".join(", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line))


def _fill(pieces: Iterable[str], measure: Callable[[str], float], limit: float) -> list[str]:
    """Joins pieces into lines whose measures sum to at most `limit`; a longer piece gets a line of its own."""
    lines, used = [""], 0.0
    for piece in pieces:
        if lines[-1] and used + measure(piece.rstrip()) > limit:
            lines, used = [*lines, ""], 0.0
        lines[-1] += piece
        used += measure(piece)
    return [line.rstrip() for line in lines]


@lru_cache(maxsize=4096)
def text_size(text: str, font: float) -> complex:
    """Width and height of text of one or more lines, in points, for any resolution."""
    lines, style = text.split("\n"), FontProperties(size=font)
    width = max(TextToPath().get_text_width_height_descent(line, style, False)[0] for line in lines)
    return complex(1.06 * float(width), len(lines) * LINE * font)  # hinting widens letters at low resolutions
