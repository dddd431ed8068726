"""Intervals and tests for evaluation figures: how far a mean, a difference or a share can be trusted.

Units are topics, users, queries or seeds; a paired function takes two systems' figures on the same units, in the same
order. Whatever is sampled takes a seed and repeats exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ir_shared._resampling import flip_patterns, resampled_means
from ir_shared.console import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "BootstrapTest",
    "Interval",
    "PermutationTest",
    "bootstrap_interval",
    "holm",
    "paired_bootstrap",
    "permutation_test",
    "t_interval",
    "wilson_interval",
]

_EXACT_LIMIT = 20_000
"""Up to so many sign patterns the permutation test enumerates them all."""
_SLACK = 1e-12
"""Relative slack when a resampled figure is compared with the observed one: equal sums may differ in the last bits."""


@dataclass(frozen=True, slots=True)
class _Result:
    def to_json(self) -> dict[str, Any]:
        """The fields as a dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Interval(_Result):
    """An estimate and its confidence interval.

    Attributes:
        estimate: the mean, or the share.
        low: lower end.
        high: upper end.
        level: confidence level, e.g. 0.95.
        n: how many units it rests on.
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int


@dataclass(frozen=True, slots=True)
class BootstrapTest(_Result):
    """A paired bootstrap comparison.

    Attributes:
        difference: mean of first minus second.
        low: lower end of the percentile interval of the difference.
        high: upper end.
        level: confidence level of the interval.
        p_value: two-sided, for no difference.
        n: how many units.
        resamples: how many resamples.
    """

    difference: float
    low: float
    high: float
    level: float
    p_value: float
    n: int
    resamples: int


@dataclass(frozen=True, slots=True)
class PermutationTest(_Result):
    """A paired sign-flip test.

    Attributes:
        difference: mean of first minus second.
        p_value: two-sided, for differences that are symmetric about zero.
        n: how many units.
        exact: whether all 2^n sign patterns were counted rather than a sample of them.
        permutations: how many patterns were counted.
    """

    difference: float
    p_value: float
    n: int
    exact: bool
    permutations: int


def t_interval(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """Student's interval of a mean: ``mean ± t(n-1) · s / √n``; for a handful of seeds.

    Args:
        values: shape [n], n ≥ 2.
        level: confidence level, between 0 and 1.

    Raises:
        UserError: fewer than two values, a value that is not finite, or a level out of range.
    """
    import numpy as np
    from scipy.special import stdtrit

    _check_level(level)
    sample = _sample(values)
    n = len(sample)
    mean = float(sample.mean())
    half = float(stdtrit(n - 1, 0.5 + level / 2) * sample.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, level, n)


def bootstrap_interval(values: ArrayLike, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0) -> Interval:
    """Percentile bootstrap interval of a mean over units (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: one figure a unit, shape [n], n ≥ 2.
        level: confidence level, between 0 and 1.
        resamples: how often the units are drawn anew, with replacement.
        seed: seed of the draws.

    Raises:
        UserError: fewer than two values, a value that is not finite, or a level or count out of range.
    """
    import numpy as np

    _check_level(level)
    sample = _sample(values)
    means = resampled_means(sample, resamples, seed)
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(sample.mean()), float(low), float(high), level, len(sample))


def paired_bootstrap(
    first: ArrayLike, second: ArrayLike, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> BootstrapTest:
    """Compares two systems on the same units by resampling the units.

    The interval is the percentile interval of the mean difference. The p-value is the share of resamples whose mean
    difference, shifted to have no difference on average, is at least as far from zero as the observed one, the observed
    one counted in: ``(1 + #{|d* - d| ≥ |d|}) / (1 + resamples)`` (Efron and Tibshirani 1993, section 16.4).

    Args:
        first: one system's figures, shape [n], n ≥ 2.
        second: the other's, on the same units in the same order.
        level: confidence level of the interval.
        resamples: how often the units are drawn anew, with replacement.
        seed: seed of the draws.

    Raises:
        UserError: lengths differ, fewer than two units, a value that is not finite, or a level or count out of range.
    """
    import numpy as np

    _check_level(level)
    differences = _differences(first, second)
    observed = float(differences.mean())
    means = resampled_means(differences, resamples, seed)
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    as_far = int(np.count_nonzero(np.abs(means - observed) >= abs(observed) * (1 - _SLACK)))
    p_value = (1 + as_far) / (1 + resamples)
    return BootstrapTest(observed, float(low), float(high), level, p_value, len(differences), resamples)


def permutation_test(first: ArrayLike, second: ArrayLike, *, resamples: int = 10_000, seed: int = 0) -> PermutationTest:
    """Paired randomisation test: could the differences have had any other signs (Fisher; Smucker et al. 2007)?

    Exact, over all 2^n patterns of signs, up to 20,000 of them (n ≤ 14); beyond that over a sample of patterns, the
    observed one counted in.

    Args:
        first: one system's figures, shape [n], n ≥ 2.
        second: the other's, on the same units in the same order.
        resamples: how many patterns are sampled where there are too many to enumerate.
        seed: seed of that sample.

    Raises:
        UserError: lengths that differ, fewer than two units, a value that is not finite, or a count out of range.
    """
    import numpy as np

    differences = _differences(first, second)
    n = len(differences)
    exact = 2**n <= _EXACT_LIMIT
    patterns = 2**n if exact else resamples
    least = abs(differences.sum()) * (1 - _SLACK)
    as_far = 0
    for flips in flip_patterns(n, patterns, None if exact else seed):
        as_far += int(np.count_nonzero(np.abs((1 - 2 * flips) @ differences) >= least))
    p_value = as_far / patterns if exact else (1 + as_far) / (1 + patterns)
    return PermutationTest(float(differences.mean()), p_value, n, exact, patterns)


def wilson_interval(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share (Wilson 1927): the shares p with ``|p̂ - p| ≤ z √(p(1-p)/n)``.

    Args:
        successes: how many of the units have the property.
        n: how many units, at least one.
        level: confidence level, between 0 and 1.

    Raises:
        UserError: counts that do not fit together, or a level out of range.
    """
    from scipy.special import ndtri

    _check_level(level)
    if n < 1 or not 0 <= successes <= n:
        raise UserError(f"{successes} of {n}: no share can be made of it; give 0 ≤ successes ≤ n and n ≥ 1")
    z2 = float(ndtri(0.5 + level / 2)) ** 2
    share = successes / n
    centre = (successes + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (n * share * (1 - share) + z2 / 4)) / (n + z2)
    # At the ends of the scale the bound is exactly 0 or 1, which rounding would miss.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(share, low, high, level, n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979): reject where the adjusted p-value is at most the error rate wanted.

    With the m p-values in ascending order, the i-th (from 0) becomes the largest of ``(m - j) · p_j`` over j ≤ i, at
    most 1. Controls the chance of any false rejection, whatever the dependence between the tests.

    Args:
        p_values: in any order.

    Returns:
        The adjusted p-values, in the order given.

    Raises:
        UserError: a p-value that is not between 0 and 1.
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise UserError(f"p-value {p}: not between 0 and 1")
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, (len(p_values) - rank) * p_values[i])
        adjusted[i] = min(running, 1.0)
    return adjusted


def _sample(values: ArrayLike) -> NDArray[np.float64]:
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or len(sample) < 2:
        raise UserError(f"a list of at least two values is needed, found shape {list(sample.shape)}")
    if not np.isfinite(sample).all():
        where = int(np.flatnonzero(~np.isfinite(sample))[0])
        raise UserError(f"value {where} is {sample[where]}: not finite; drop the unit or count it as 0")
    return sample


def _differences(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    one, other = _sample(first), _sample(second)
    if len(one) != len(other):
        raise UserError(f"{len(one)} and {len(other)} values: a paired test needs both systems on the same units")
    return one - other


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UserError(f"level {level}: give a confidence level between 0 and 1, e.g. 0.95")
