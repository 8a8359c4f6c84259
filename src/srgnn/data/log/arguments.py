"""Checks of arguments that several classes of this folder share."""

from typing import Any

from srgnn.errors import ArgumentError


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


def check_dialect(header: Any, separator: Any, quote: Any, prefix: str = "") -> None:
    """Checks the names of the columns of a text file, its separator and its quote.

    Args:
        header, separator, quote: The values.
        prefix: What stands before the names of these arguments, such as `items.`.

    Raises:
        ArgumentError: if one is not what it should be.
    """
    names = () if header is None else header
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"{prefix}header", header, "a list of names")
    convert = "; without a separator, the error for a longer one has the command that converts the file"
    for argument, value, remedy in (("separator", separator, convert), ("quote", quote, "")):
        if value is not None and (not isinstance(value, str) or len(unescaped(value).encode()) != 1):
            raise ArgumentError(f"{prefix}{argument}", value, f"one character, or null{remedy}")


def unescaped(character: str) -> str:
    """Turns a tab that was typed as a backslash and a t into a tab."""
    return character.replace("\\t", "\t")
