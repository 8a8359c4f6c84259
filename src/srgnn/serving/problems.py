"""Refusals of the service: a status, and one sentence that says what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

SHOWN = 60  # characters of a name that a client made up


class Refusal(Exception):
    """A request that is not answered.

    Args:
        status: The HTTP status.
        sentence: What was wrong, and what to do.
        headers: Further headers of the response.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None):
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})


def busy(what: str) -> Refusal:
    """The refusal of a request that would have to wait too long."""
    return Refusal(503, f"{what}: try again in a second.", {"Retry-After": "1"})


def invalid(errors: Sequence[Mapping[str, Any]]) -> Refusal:
    """The refusal of values that pydantic found to be wrong; it names the first one, and repeats no value.

    Args:
        errors: The list of :meth:`pydantic.ValidationError.errors`.
    """
    first = errors[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    place = place if len(place) <= SHOWN else f"{place[:SHOWN]}..."
    reason = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
    return Refusal(422, f"{place}: {reason[:1].lower()}{reason[1:]}.")


def errors_of(error: ValidationError) -> Sequence[Mapping[str, Any]]:
    """The errors of a validation, without the values."""
    return error.errors(include_url=False, include_context=False, include_input=False)
