"""Who clicks: simulated users whose click probability is σ(bias logit of the position + relevance logit)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64

from twotower_ident.cells import FloatArray
from twotower_ident.letor import RankingData

__all__ = ["LabelKind", "SyntheticLabels", "UserModel"]

LabelKind = Literal["original", "linear", "deep"]

_HIDDEN = 16
_PERCENTILES = (5.0, 95.0)
_HIGHEST = 4.0


@dataclass(frozen=True)
class UserModel:
    """The paper's user: relevance logit = label − 2, bias logit = −b ln(position), clicks independent by position.

    Attributes:
        bias_strength: b; with 1, exp(bias logit) = 1/position.
        label_shift: what is taken from the label.
    """

    bias_strength: float = 1.0
    label_shift: float = 2.0

    def __post_init__(self) -> None:
        if not (isfinite(self.bias_strength) and isfinite(self.label_shift)):
            raise UserError(f"{self}: bias strength and label shift are finite numbers")

    def position_bias(self, n_positions: int) -> Float64[FloatArray, " {n_positions}"]:
        """Bias logits, shape [K]; the first is 0."""
        return -self.bias_strength * np.log(np.arange(1, n_positions + 1))

    def relevance(self, labels: Float64[FloatArray, " documents"]) -> Float64[FloatArray, " documents"]:
        """Relevance logits, shape [N]."""
        return labels - self.label_shift


class SyntheticLabels:
    """Labels that are a known function of the features, in [0, 4]: u = xᵀw, or W₂ᵀ tanh(xW₁ + b₁) + b₂, plus noise.

    All parameters are standard normal and drawn once, so that one object labels all splits of a data set alike. Values
    are cut at the 5th and 95th percentile and scaled to [0, 4]; the cut makes even the linear user slightly non-linear.

    Args:
        kind: ``linear`` or ``deep`` (16 hidden units).
        n_features: F.
        seed: of the parameters and the noise.
        noise: standard deviation of the noise on u.
        official: cut every split at its own percentiles, and count the rows of zeros that pad short queries to 25
            among its values, as the paper's code does. Otherwise the first split's percentiles serve all.
    """

    def __init__(
        self,
        kind: Literal["linear", "deep"],
        n_features: int,
        *,
        seed: int,
        noise: float = 0.2,
        official: bool = False,
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._noise = noise
        self._official = official
        self._limits: tuple[float, float] | None = None
        self._utility = self._linear(n_features) if kind == "linear" else self._deep(n_features)

    def label(self, data: RankingData) -> RankingData:
        """The same documents with synthetic labels."""
        values = self._values(data.features)
        low, high = self._cut(values, data)
        scaled = (np.clip(values, low, high) - low) / max(high - low, np.finfo(np.float64).tiny)
        return data.with_labels(_HIGHEST * scaled)

    def _values(self, features: FloatArray) -> FloatArray:
        return self._utility(features) + self._noise * self._rng.standard_normal(len(features))

    def _cut(self, values: FloatArray, data: RankingData) -> tuple[float, float]:
        if self._official:
            padding = data.n_queries * int(data.sizes.max()) - len(values)
            values = np.concatenate([values, self._values(np.zeros((padding, data.features.shape[1])))])
        elif self._limits is not None:
            return self._limits
        low, high = np.percentile(values, _PERCENTILES)
        self._limits = (float(low), float(high))
        return self._limits

    def _linear(self, n_features: int) -> Callable[[FloatArray], FloatArray]:
        weights = self._rng.standard_normal(n_features)
        return lambda features: features @ weights

    def _deep(self, n_features: int) -> Callable[[FloatArray], FloatArray]:
        first, bias = self._rng.standard_normal((n_features, _HIDDEN)), self._rng.standard_normal(_HIDDEN)
        second, level = self._rng.standard_normal(_HIDDEN), self._rng.standard_normal()
        return lambda features: np.tanh(features @ first + bias) @ second + level
