import math

import pytest

from srgnn.errors import ArgumentError

optuna = pytest.importorskip("optuna")
space = pytest.importorskip("srgnn.search.space")


def draws(candidates, count: int = 60) -> list:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [candidates.suggest(study.ask(), "x") for _ in range(count)]


def test_a_range_of_integers_with_a_step_has_its_ends_and_what_lies_on_the_step():
    assert set(draws(space.Range(50, 200, step=50))) == {50, 100, 150, 200}
    assert set(draws(space.Range(1, 3))) == {1, 2, 3}
    assert all(type(value) is int for value in draws(space.Range(1, 3)))


def test_a_range_with_a_fraction_has_fractions():
    values = draws(space.Range(0.0, 0.5))
    assert len(set(values)) == len(values)
    assert 0 <= min(values) < max(values) <= 0.5
    assert {round(value, 9) for value in draws(space.Range(0.1, 0.3, step=0.1))} == {0.1, 0.2, 0.3}


def test_on_a_log_scale_each_power_of_ten_is_as_likely():
    values = draws(space.Range(1e-6, 1e-2, log=True), 400)
    counts = [sum(math.floor(math.log10(value)) == power for value in values) for power in (-6, -5, -4, -3)]
    assert sum(counts) == 400
    assert min(counts) > 70


def test_choices_may_be_of_any_plain_type():
    assert set(draws(space.Choices(["a", None, True, 2.5]))) == {"a", None, True, 2.5}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"low": 2, "high": 1}, "low=2: expected at most high=1"),
        ({"low": "a", "high": 1}, "low=a: expected a number"),
        ({"low": 0, "high": float("inf")}, "high=inf: expected a number"),
        ({"low": 0, "high": 1, "log": True}, "low=0: expected a number greater than 0, because log=true"),
        ({"low": 0, "high": 1, "log": "yes"}, "log=yes: expected true or false"),
        ({"low": 1, "high": 2, "log": True, "step": 1}, "step=1: expected none"),
        ({"low": 1, "high": 2, "step": 0}, "step=0: expected a number greater than 0"),
        ({"low": 1, "high": 10, "step": 4}, "step=4: expected a step that leads from low=1 to high=10"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(arguments: dict, sentence: str):
    with pytest.raises(ArgumentError, match=sentence):
        space.Range(**arguments)


@pytest.mark.parametrize("values", [[], "ab", [1, 1.0], [[1]], 5])
def test_choices_that_cannot_be_searched_are_refused(values):
    with pytest.raises(ArgumentError, match="values="):
        space.Choices(values)
