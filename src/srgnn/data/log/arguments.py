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
