"""Names of columns in messages: odd ones in quotes, so that a reader sees where they begin and end."""

import re
from collections.abc import Sequence

MOST = 100  # names in one message; a record can have thousands of fields
PLAIN = re.compile(r"[\w$@#%&/.:+-]+")


def shown(*names: str) -> str:
    """Names in a message; those with spaces, commas, quotes or invisible characters are quoted."""
    return enumerated([name if PLAIN.fullmatch(name) else repr(name) for name in names], ", ")


def enumerated(words: Sequence[str], between: str) -> str:
    """Joins the first words, and says how many more there are."""
    more = f" and {len(words) - MOST:,} more" if len(words) > MOST else ""
    return between.join(words[:MOST]) + more


def is_clean(name: str) -> bool:
    """Whether a name has no invisible characters, and no spaces around it."""
    return name.isprintable() and name == name.strip() != ""


def find_alike(names: Sequence[str], columns: Sequence[str]) -> str | None:
    """The first column that differs from a possible name in case, spaces or signs alone."""
    alike = {_letters(name) for name in names}
    return next((column for column in columns if _letters(column) in alike), None)


def _letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
