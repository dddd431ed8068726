"""Shapes and types of arrays are checked at run time in these tests, which the conftest switches on."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from rerank_judge.agreement import confusion
from rerank_judge.kappa_curve import kappa_curve
from rerank_judge.ordering import tau_b_many


def test_vectors_of_two_lengths_are_caught() -> None:
    with pytest.raises(TypeCheckError, match=r"pairs=3"):
        confusion(np.zeros(3, dtype=bool), np.zeros(4, dtype=bool))


def test_another_type_of_number_is_caught() -> None:
    with pytest.raises(TypeCheckError, match="'scores'"):
        kappa_curve(np.zeros(3, dtype=bool), np.zeros(3, dtype=np.int64))  # type: ignore[arg-type]


def test_a_missing_axis_is_caught() -> None:
    with pytest.raises(TypeCheckError, match="'y'"):
        tau_b_many(np.zeros(3), np.zeros(3))
