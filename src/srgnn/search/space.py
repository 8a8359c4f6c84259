"""Search spaces: the candidate values of every parameter."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from optuna.trial import Trial

from srgnn.errors import ArgumentError, check_bool

Value = str | int | float | bool | None


class Candidates(Protocol):
    """The values that a parameter may take."""

    @property
    def ends(self) -> Sequence[Value]:
        """The values to check before a search begins: if they are allowed, so are the others."""

    def suggest(self, trial: Trial, name: str) -> Value:
        """The value of a trial, chosen by the sampler of its study, or stored already."""


Space = Mapping[str, Candidates]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: integers if all three arguments are integers.

    Args:
        low: Smallest value.
        high: Largest value.
        step: Distance between two values; None is 1 for integers, and any number for others.
        log: Whether small numbers are as likely as large ones: uniform in the logarithm.

    Raises:
        ArgumentError: for an empty range, or one that cannot have this step or a logarithm.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        for name, value in (("low", self.low), ("high", self.high)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ArgumentError(name, value, "a number")
        if self.low > self.high:
            raise ArgumentError("low", self.low, f"at most high={self.high}")
        check_bool("log", self.log)
        if self.log and self.low <= 0:
            raise ArgumentError("low", self.low, "a number greater than 0, because log=true")
        if self.step is None:
            return
        if isinstance(self.step, bool) or not isinstance(self.step, int | float) or not self.step > 0:
            raise ArgumentError("step", self.step, "a number greater than 0")
        if self.log:
            raise ArgumentError("step", self.step, "none, because log=true")
        steps = (self.high - self.low) / self.step
        if not math.isclose(steps, round(steps), abs_tol=1e-9):
            raise ArgumentError("step", self.step, f"a step that leads from low={self.low} to high={self.high}")

    @property
    def ends(self) -> Sequence[Value]:
        return [self.low, self.high]

    def suggest(self, trial: Trial, name: str) -> Value:
        numbers = (self.low, self.high, 1 if self.step is None else self.step)
        if all(isinstance(number, int) for number in numbers):
            low, high, step = map(int, numbers)
            return trial.suggest_int(name, low, high, step=step, log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True)
class Choices:
    """A list of values without an order.

    Raises:
        ArgumentError: for an empty list, a value twice, or one that is not a number, a text, a truth value or None.
    """

    values: Sequence[Value]

    def __post_init__(self) -> None:
        is_list = isinstance(self.values, list | tuple)
        if not is_list or not self.values or not all(isinstance(each, Value) for each in self.values):
            raise ArgumentError("values", self.values, "a list of at least one number, text, truth value or null")
        if len(set(self.values)) < len(self.values):  # 1, 1.0 and True are one value
            raise ArgumentError("values", self.values, "a list without repeated values")

    @property
    def ends(self) -> Sequence[Value]:
        return self.values

    def suggest(self, trial: Trial, name: str) -> Value:
        value: Value = trial.suggest_categorical(name, self.values)
        return value
