"""Checks of arguments that several classes of this folder share."""

import re
import string
from typing import Any

from srgnn.errors import ArgumentError

ASCII = string.ascii_letters + string.digits + ",;|:\t\n"


def check_text(argument: str, value: Any, example: str, optional: bool = False) -> None:
    """Checks that a value is text, or None where it is `optional`.

    Raises:
        ArgumentError: if it is neither.
    """
    if not isinstance(value, str) and not (optional and value is None):
        raise ArgumentError(argument, value, f"text, such as {example}" + (", or null" if optional else ""))


def check_names(argument: str, value: Any, example: str) -> None:
    """Checks that a value is a name, a list of names, or None; an integer counts as a name, as in a header `0,1,2`.

    Raises:
        ArgumentError: if it is not.
    """
    names = value if isinstance(value, list | tuple) else [] if value is None else [value]
    if not all(isinstance(name, str | int) and not isinstance(name, bool) for name in names):
        raise ArgumentError(argument, value, f"a name, such as {example}, a list of names, or null")


def listed(names: Any) -> list[str]:
    """The names in a value that :func:`check_names` accepts, as text."""
    names = names if isinstance(names, list | tuple) else [] if names is None else [names]
    return [str(name) for name in names]


def check_dialect(header: Any, separator: Any, quote: Any, encoding: Any, prefix: str = "") -> None:
    """Checks the names of the columns of a text file, its separator, its quote and its encoding.

    Args:
        header, separator, quote, encoding: The values.
        prefix: What stands before the names of these arguments, such as `items.`.

    Raises:
        ArgumentError: if one is not what it should be.
    """
    names = () if header is None else header
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"{prefix}header", header, "a list of names")
    if len(set(names)) < len(names):
        raise ArgumentError(f"{prefix}header", list(names), "each name once")
    several = quote is None and isinstance(separator, str) and len(separator) > 0 and "\n" not in separator
    expected = "one character, several with quote=null, or null"
    if separator is not None and not several and not _is_character(separator):
        raise ArgumentError(f"{prefix}separator", separator, expected)
    if quote is not None and not _is_character(quote):
        raise ArgumentError(f"{prefix}quote", quote, "one character, or null")
    if not _extends_ascii(encoding):
        raise ArgumentError(
            f"{prefix}encoding",
            encoding,
            "an encoding that has the characters of ASCII, such as utf-8, latin1 or cp1252",
        )


def _is_character(value: Any) -> bool:
    return isinstance(value, str) and len(unescaped(value).encode()) == 1


def _extends_ascii(encoding: Any) -> bool:
    """Whether text of ASCII alone is the same in an encoding: that of UTF-16 is not."""
    try:
        return isinstance(encoding, str) and ASCII.encode().decode(encoding) == ASCII
    except (LookupError, UnicodeError):
        return False


def unescaped(character: str) -> str:
    r"""Turns `\t`, and codes such as `\x1f`, into the characters that they stand for."""
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda code: chr(int(code[1], 16)), character.replace("\\t", "\t"))
