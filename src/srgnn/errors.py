"""Errors that a user can fix, each with a one-sentence message: what is wrong, what was expected and what to do.

Messages name arguments as a Python user writes them, `name=`. A program that knows them by other names, such as
command-line options, renames them with :meth:`UserError.renamed`.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PLAIN = re.compile(r"[a-z_%][\w%./:$| -]*\w|[a-z_]", re.ASCII | re.IGNORECASE)  # text that Hydra reads unquoted,
HYDRA_VALUES = ("true", "false", "null", "nan", "inf")  # except these words


class UserError(Exception):
    """An error that a user can fix; the command-line programs print its message without a traceback.

    Args:
        text: The message, one sentence. It mentions arguments as `name=`, and those of a nested object with a dot
            (`rules.test_days=`).
        arguments: Names of the arguments that it mentions.

    Example:
        >>> raise UserError("There is no file log.csv: name yours with path=FILE.", "path")
    """

    def __init__(self, text: str, *arguments: str):
        super().__init__(text, *arguments)

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the arguments that the message mentions."""
        return self.args[1:]

    def renamed(self, names: Mapping[str, str]) -> "UserError":
        """The same message, with the arguments in `names` renamed.

        Args:
            names: New names of arguments by their old names.
        """
        known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        if not known:
            return self
        text = re.sub(rf"(?<![\w.])({known})(?==)", lambda match: names[match[0]], str(self))
        return UserError(text, *(names.get(name, name) for name in self.arguments))


class LostProcess(UserError):
    """Another process of the same training ended too early."""


class ArgumentError(UserError):
    """A value that an argument does not accept.

    Args:
        argument: Name of the argument.
        value: The value given.
        expected: The accepted values, in words.
    """

    def __init__(self, argument: str, value: Any, expected: str):
        super().__init__(f"{argument}={value}: expected {expected}.", argument)
        self.argument, self.value, self.expected = argument, value, expected

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.argument, self.value, self.expected)


def typed(value: str | Sequence[str]) -> str:
    """A text or a list of texts as it is typed after `name=` on a command line: a shell reads it, and then Hydra."""
    words = for_hydra(value) if isinstance(value, str) else f"[{','.join(map(for_hydra, value))}]"
    if "'" not in words or "!" in words:
        return shlex.quote(words)
    return '"{}"'.format(re.sub(r'(["\\$`])', r"\\\1", words))


def for_hydra(text: str) -> str:
    """A text as Hydra reads it back: in quotes, unless it is plain."""
    if PLAIN.fullmatch(text) and text.lower() not in HYDRA_VALUES:
        return text
    escaped = re.sub(r"(\\*)('|$)", lambda match: 2 * match[1] + (match[2] and r"\'"), text)
    return f"'{escaped}'"


def check_int(argument: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """Returns `value` if it is an integer from `minimum` to `maximum`.

    Raises:
        ArgumentError: if it is not.
    """
    inside = isinstance(value, int) and not isinstance(value, bool) and value >= minimum
    if not inside or (maximum is not None and value > maximum):
        limits = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ArgumentError(argument, value, f"an integer {limits}")
    return int(value)


def check_float(argument: str, value: Any, minimum: float, exclusive: bool = False) -> float:
    """Returns `value` if it is a finite number of at least `minimum`, or above it if `exclusive`.

    Raises:
        ArgumentError: if it is not.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (minimum < value < float("inf") or (value == minimum and not exclusive)):
        raise ArgumentError(argument, value, f"a number {'greater than' if exclusive else 'of at least'} {minimum:g}")
    return float(value)


def check_choice(argument: str, value: Any, allowed: Iterable[str]) -> str:
    """Returns `value` if it is one of `allowed`.

    Raises:
        ArgumentError: if it is not.
    """
    allowed = list(allowed)
    if value not in allowed:
        raise ArgumentError(argument, value, "one of " + ", ".join(allowed))
    return str(value)


def check_bool(argument: str, value: Any) -> bool:
    """Returns `value` if it is True or False.

    Raises:
        ArgumentError: if it is not.
    """
    if not isinstance(value, bool):
        raise ArgumentError(argument, value, "true or false")
    return value
