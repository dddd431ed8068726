"""Verdicts, and the criteria that they follow from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Criterion", "Verdict"]


class Verdict(StrEnum):
    """What became of a claim."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    INCONCLUSIVE = "inconclusive"
    NEEDS_DATA = "needs data"
    NEEDS_SCALE = "needs scale"
    ERROR = "error"


@dataclass(frozen=True)
class Criterion:
    """The range in which a measured value counts as reproduced, fixed before measuring.

    Attributes:
        low: lower bound.
        high: upper bound.
        strict: the bounds themselves do not count.
    """

    low: float = -math.inf
    high: float = math.inf
    strict: bool = False

    @classmethod
    def at_least(cls, bound: float) -> Criterion:
        """Value ≥ bound."""
        return cls(low=bound)

    @classmethod
    def above(cls, bound: float) -> Criterion:
        """Value > bound."""
        return cls(low=bound, strict=True)

    @classmethod
    def at_most(cls, bound: float) -> Criterion:
        """Value ≤ bound."""
        return cls(high=bound)

    @classmethod
    def below(cls, bound: float) -> Criterion:
        """Value < bound."""
        return cls(high=bound, strict=True)

    @classmethod
    def between(cls, low: float, high: float) -> Criterion:
        """Low ≤ value ≤ high."""
        return cls(low=low, high=high)

    def holds(self, value: float) -> bool:
        """Whether a value is in the range."""
        if self.strict:
            return self.low < value < self.high
        return self.low <= value <= self.high

    def decide(self, value: float, interval: tuple[float, float] | None = None) -> Verdict:
        """The verdict on a measurement.

        With an interval, the whole of it must lie inside the range to reproduce, and the whole of it outside not to; an
        interval that straddles a bound is inconclusive.

        Raises:
            ValueError: the value or the interval is not finite, or the interval is reversed.
        """
        low, high = (value, value) if interval is None else interval
        if not (math.isfinite(value) and math.isfinite(low) and math.isfinite(high)) or low > high:
            raise ValueError(f"cannot decide on value {value} with interval {interval}")
        if self.holds(low) and self.holds(high):
            return Verdict.REPRODUCED
        disjoint = high < self.low or low > self.high
        touching = self.strict and (high <= self.low or low >= self.high)
        return Verdict.NOT_REPRODUCED if disjoint or touching else Verdict.INCONCLUSIVE

    def __str__(self) -> str:
        less, more = ("<", ">") if self.strict else ("≤", "≥")
        if math.isinf(self.low):
            return f"{less} {self.high:g}"
        if math.isinf(self.high):
            return f"{more} {self.low:g}"
        return f"{self.low:g} {less} value {less} {self.high:g}"
