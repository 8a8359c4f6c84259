"""Errors that a user can mend: one sentence that names what was found, what is allowed and what to do."""

from collections.abc import Iterable
from typing import Any


class UserError(Exception):
    """A sentence for the user. The doors print it without a traceback."""


class OptionError(UserError):
    """A wrong value of an option; the doors put the option's group before its name."""

    def __init__(self, option: str, value: Any, expected: str):
        super().__init__(f"{option}={value}: expected {expected}.")
        self.option, self.value, self.expected = option, value, expected

    def __reduce__(self) -> tuple:
        return type(self), (self.option, self.value, self.expected)

    def within(self, group: str) -> "OptionError":
        """The same error, with the option named as `group.option`."""
        return OptionError(f"{group}.{self.option}", self.value, self.expected)


def check_int(option: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """Returns `value`, or raises :class:`OptionError` unless it is an integer of at least `minimum`."""
    inside = isinstance(value, int) and not isinstance(value, bool) and value >= minimum
    if not inside or (maximum is not None and value > maximum):
        limits = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise OptionError(option, value, f"an integer {limits}")
    return value


def check_float(option: str, value: Any, minimum: float, exclusive: bool = False) -> float:
    """Returns `value`, or raises :class:`OptionError` unless it is a finite number of at least `minimum`."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (minimum < value < float("inf") or (value == minimum and not exclusive)):
        raise OptionError(option, value, f"a number {'greater than' if exclusive else 'of at least'} {minimum:g}")
    return float(value)


def check_choice(option: str, value: Any, allowed: Iterable[str]) -> str:
    """Returns `value`, or raises :class:`OptionError` unless it is one of `allowed`."""
    allowed = list(allowed)
    if value not in allowed:
        raise OptionError(option, value, "one of " + ", ".join(allowed))
    return value


def check_bool(option: str, value: Any) -> bool:
    """Returns `value`, or raises :class:`OptionError` unless it is a truth value."""
    if not isinstance(value, bool):
        raise OptionError(option, value, "true or false")
    return value
