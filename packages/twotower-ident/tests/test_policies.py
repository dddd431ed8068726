"""Scores mix as the formula says, and samplers place documents with the probabilities that they state."""

from __future__ import annotations

import numpy as np
import pytest
from ir_shared.console import UserError
from twotower_ident.generators import gaussian_letor
from twotower_ident.policies import EpsilonGreedy, ExpertPolicy, Gumbel, LearnedPolicy, PivotSwap
from twotower_ident.simulate import make_world
from twotower_ident.user_models import SyntheticLabels, UserModel


def test_minus_one_shows_the_reverse_of_plus_one_up_to_ties() -> None:
    data = gaussian_letor(n_queries=4, n_docs=6, seed=3)
    best, worst = (ExpertPolicy(a).scores(data, np.random.default_rng(0)) for a in (1.0, -1.0))
    np.testing.assert_array_equal(best, -worst)
    np.testing.assert_array_equal(best, data.labels)


def test_strength_mixes_labels_with_uniform_noise() -> None:
    data = gaussian_letor(n_queries=2000, n_docs=5, seed=3)
    scores = ExpertPolicy(-0.25).scores(data, np.random.default_rng(0))
    noise = (scores + 0.25 * data.labels) / 0.75
    assert 0 <= noise.min() < 0.01
    assert 3.99 < noise.max() <= 4
    assert abs(np.corrcoef(noise, data.labels)[0, 1]) < 0.03


def test_the_linear_learned_policy_is_the_least_squares_fit() -> None:
    data = gaussian_letor(n_queries=50, n_features=4, seed=1)
    policy = LearnedPolicy.fit(data, "linear")
    design = np.column_stack([np.ones(len(data.labels)), data.features])
    expected = design @ np.linalg.lstsq(design, data.labels, rcond=None)[0]
    np.testing.assert_allclose(policy.scores(data, np.random.default_rng(0)), expected, atol=1e-9)


def test_the_deep_learned_policy_learns_what_a_line_cannot() -> None:
    data = gaussian_letor(n_queries=40, n_features=2, seed=2)
    data = data.with_labels(np.minimum(4, np.abs(data.features[:, 0]) * 2))
    deep, linear = (LearnedPolicy.fit(data, kind).model(data.features) for kind in ("deep", "linear"))
    assert np.mean((deep - data.labels) ** 2) < 0.5 * np.mean((linear - data.labels) ** 2)


def test_zero_strength_trains_nothing_and_is_all_noise() -> None:
    data = gaussian_letor(n_queries=3)
    assert LearnedPolicy.fit(data, "deep", strength=0).scores(data, np.random.default_rng(0)).std() > 1


@pytest.mark.parametrize(
    "sampler", [EpsilonGreedy(0.0), EpsilonGreedy(0.3), EpsilonGreedy(1.0), PivotSwap(0.4), PivotSwap(0.7, pivot=3)]
)
def test_sampled_placements_follow_the_stated_probabilities(sampler) -> None:
    n, sessions = 5, 40_000
    stated = sampler.placement(n)
    np.testing.assert_allclose(stated.sum(axis=0), 1)
    np.testing.assert_allclose(stated.sum(axis=1), 1)
    rng = np.random.default_rng(4)
    scores = np.arange(n, 0.0, -1)
    counted = sampler.count(np.tile(scores, (2, 1)), np.array([sessions, 0]), rng)
    assert counted[1].sum() == 0
    placed = sampler.place(np.tile(scores, (sessions, 1)), rng)
    np.testing.assert_array_equal(np.sort(placed, axis=1), np.tile(np.arange(n), (sessions, 1)))
    drawn = np.stack([np.bincount(placed[:, k], minlength=n) for k in range(n)], axis=1)
    error = 4.5 * np.sqrt(stated * (1 - stated) * sessions) + 1e-9
    assert (np.abs(counted[0] - sessions * stated) <= error).all()
    assert (np.abs(drawn - sessions * stated) <= error).all()


def test_gumbel_noise_draws_from_plackett_and_luce() -> None:
    scores = np.array([2.0, 1.0, 0.0])
    counted = Gumbel(1.5).count(scores[None], np.array([50_000]), np.random.default_rng(0))[0]
    first = np.exp(scores / 1.5) / np.exp(scores / 1.5).sum()
    assert np.abs(counted[:, 0] / 50_000 - first).max() < 0.01
    # The second place is a renewed draw among those left.
    second = sum(first[j] * np.where(np.arange(3) == j, 0, first) / (1 - first[j]) for j in range(3))
    assert np.abs(counted[:, 1] / 50_000 - second).max() < 0.01
    np.testing.assert_array_equal(Gumbel(0).placement(3), np.eye(3))
    with pytest.raises(UserError, match="no closed form"):
        Gumbel(0.1).placement(3)


def test_a_pivot_beyond_the_list_and_a_single_document_change_nothing() -> None:
    for sampler, n in ((PivotSwap(1.0, pivot=9), 4), (PivotSwap(1.0), 1)):
        np.testing.assert_array_equal(sampler.placement(n), np.eye(n))
        np.testing.assert_array_equal(sampler.place(np.zeros((3, n)), np.random.default_rng(0))[0], np.arange(n))


def test_what_no_policy_can_be_is_refused() -> None:
    for make in (
        lambda: ExpertPolicy(1.1),
        lambda: LearnedPolicy(lambda x: x, -2),
        lambda: EpsilonGreedy(-0.1),
        lambda: PivotSwap(2),
        lambda: PivotSwap(0.1, pivot=0),
        lambda: Gumbel(-1),
        lambda: EpsilonGreedy(float("nan")),
    ):
        with pytest.raises(UserError):
            make()


def test_users_see_the_label_less_two_and_the_inverse_position() -> None:
    data = gaussian_letor(n_queries=2, n_docs=3)
    world = make_world(data, ExpertPolicy(1), UserModel())
    np.testing.assert_allclose(np.exp(world.position_bias), [1, 1 / 2, 1 / 3])
    np.testing.assert_array_equal(world.relevance, data.labels - 2)


@pytest.mark.parametrize("kind", ["linear", "deep"])
def test_synthetic_labels_fill_the_scale_and_label_all_splits_alike(kind) -> None:
    data = gaussian_letor(n_queries=40, seed=1)
    labels = SyntheticLabels(kind, 20, seed=5, noise=0.0)
    first = labels.label(data)
    assert (first.labels.min(), first.labels.max()) == (0, 4)
    assert np.isclose(np.mean(first.labels == 0), 0.05, atol=0.01)
    part = data.take(np.arange(100))
    np.testing.assert_array_equal(labels.label(part).labels, first.labels[:100])
    np.testing.assert_array_equal(SyntheticLabels(kind, 20, seed=5, noise=0.0).label(data).labels, first.labels)


def test_the_official_cut_is_that_of_each_split() -> None:
    data = gaussian_letor(n_queries=40, seed=1)
    labels = SyntheticLabels("linear", 20, seed=5, noise=0.0, official=True)
    whole, part = labels.label(data).labels, labels.label(data.take(np.arange(100))).labels
    assert part.max() == 4
    assert np.abs(part - whole[:100]).max() > 0.01
