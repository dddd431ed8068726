from __future__ import annotations

import numpy as np
import pytest
from ir_shared.console import UserError
from rerank_judge.plateau import best_plateau

NAN = float("nan")


def chosen(values: list[float], **options: object) -> float:
    return best_plateau(np.arange(len(values), dtype=float), np.array(values, dtype=float), **options).threshold  # type: ignore[arg-type]


def test_longest_plateau_wins_and_gives_its_lower_middle() -> None:
    assert chosen([1, 0, 1, 1, 1, 1, 0, 1, 1]) == 3
    assert chosen([0, 1, 1, 1, 0]) == 2
    assert chosen([1, 0, 1, 1, 1], anchor=0.0) == 3  # however near a shorter one is
    plateau = best_plateau(np.arange(5.0), np.array([0, 1, 1, 1, 0.0]))
    assert (plateau.low, plateau.high, plateau.n_best, plateau.value) == (1, 3, 3, 1)


def test_of_equal_plateaus_the_one_nearest_the_anchor_wins() -> None:
    values = [1.0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert chosen(values, anchor=7.0) == 8
    assert chosen(values, anchor=0.1) == 0
    assert chosen(values) == 3  # the median of the candidates
    assert chosen([1.0, 0, 1], anchor=1.0) == 0  # at the same distance, the lower


def test_first_and_last_are_the_ends_of_all_best_thresholds() -> None:
    values = [0.0, 1, 1, 0, 1, 0]
    assert chosen(values, tie_break="first") == 1
    assert chosen(values, tie_break="last") == 4


def test_undefined_values_are_never_selected_and_part_plateaus() -> None:
    assert chosen([NAN, 1, NAN, 1, 1, NAN]) == 3
    with pytest.raises(UserError, match="undefined at all 2"):
        chosen([NAN, NAN])


def test_values_are_not_rounded_before_they_are_compared() -> None:
    assert chosen([0.4252, 0.42521, 0.4249]) == 1


def test_values_equal_up_to_the_order_of_summation_tie() -> None:
    assert chosen([1.0, 1.0 - 1e-15, 1.0, 0]) == 1
