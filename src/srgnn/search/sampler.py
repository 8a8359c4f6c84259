"""The sampler of a search, whose draws do not depend on the process that asks for them."""

import zlib
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial


class RepeatableTPE(BaseSampler):
    """Tree-structured Parzen estimator whose draws depend on the finished trials and the trial's number alone.

    Optuna's own sampler draws from a generator that a new process would start again.

    Args:
        seed: Seed of all draws.
        startup_trials: Number of trials with random values.
    """

    def __init__(self, seed: int, startup_trials: int):
        self.seed, self.startup_trials = seed, startup_trials

    def _sampler(self, trial: FrozenTrial, name: str = "") -> TPESampler:
        seed = zlib.crc32(f"{self.seed}/{trial.number}/{name}".encode())
        return TPESampler(seed=seed, n_startup_trials=self.startup_trials)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler(trial, param_name).sample_independent(study, trial, param_name, param_distribution)
