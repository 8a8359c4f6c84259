import numpy as np
import pytest

from srgnn.comparison.significance import (
    bootstrap_means,
    by_session,
    gains,
    holm,
    mean_interval,
    paired_bootstrap,
)


def test_gains_of_ranks_are_means_over_the_seeds():
    ranks = np.array([[1, 2, 21, 20], [1, 4, 30_000, 21]])
    assert gains(ranks, "recall@20").tolist() == [1, 1, 0, 0.5]
    assert gains(ranks, "mrr@20").tolist() == pytest.approx([1, (1 / 2 + 1 / 4) / 2, 0, 1 / 40])
    assert gains(ranks, "mrr@2").tolist() == [1, 0.25, 0, 0]


def test_resamples_spread_as_the_mean_of_a_sample_does():
    values = np.random.default_rng(0).random(2_000) ** 3
    means = bootstrap_means(values, 20_000)
    assert means.mean() == pytest.approx(values.mean(), abs=1e-3)
    assert means.std() == pytest.approx(values.std() / len(values) ** 0.5, rel=0.03)
    assert np.array_equal(means, bootstrap_means(values, 20_000))
    assert bootstrap_means(np.full(5, 0.3), 7).tolist() == [0.3] * 7


def test_the_interval_of_a_share_is_that_of_the_binomial_distribution():
    values = np.repeat([0.0, 1.0], [600, 400])
    found = mean_interval(values, 20_000)
    half = 1.96 * (0.4 * 0.6 / 1000) ** 0.5
    assert (found.mean, found.low, found.high) == pytest.approx((0.4, 0.4 - half, 0.4 + half), abs=0.003)


def test_equally_good_models_differ_significantly_in_one_of_twenty_samples():
    generator = np.random.default_rng(1)
    p = [paired_bootstrap(generator.normal(size=300), 999, seed).p for seed in range(400)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.025)
    assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.08)


def test_what_is_hard_for_both_models_is_no_noise():
    generator = np.random.default_rng(2)
    hard = generator.random(2_000)
    one, other = hard + 0.01, hard + generator.normal(0, 0.02, 2_000)
    assert paired_bootstrap(one - other).p < 0.001  # paired
    shuffled = generator.permutation(other)
    assert paired_bootstrap(one - shuffled).p > 0.05  # the same values without their pairs


def test_a_difference_has_the_p_value_of_its_interval():
    differences = np.random.default_rng(3).normal(0.1, 1, 400)
    found = paired_bootstrap(differences, 10_000)
    assert (found.p < 0.05) is not (found.low < 0 < found.high)
    assert paired_bootstrap(np.full(10, 0.2), 99).p == pytest.approx(2 / 100)
    assert paired_bootstrap(np.zeros(10), 99).p == 1


def test_prefixes_of_one_session_are_resampled_together():
    session = np.repeat(np.arange(200), 10)
    values = np.random.default_rng(4).random(200)[session]  # equal within a session
    together = by_session(values, session)
    assert together.mean() == pytest.approx(values.mean())
    ratio = bootstrap_means(together).std() / bootstrap_means(values).std()
    assert ratio == pytest.approx(10**0.5, rel=0.05)


def test_holm_on_paper():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []
