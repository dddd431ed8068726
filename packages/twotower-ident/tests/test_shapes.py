"""Shapes and types of arrays are checked at run time in these tests, which the conftest switches on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from twotower_ident.cells import CellTable
from twotower_ident.contrasts import swap_laplacian
from twotower_ident.paired_comparison import hessian
from twotower_ident.ranking_metrics import ndcg

CELLS = CellTable.from_arrays([0, 0, 1], [1, 2, 1], [4, 4, 2], [1, 2, 0])


def test_vectors_of_two_lengths_are_caught() -> None:
    with pytest.raises(TypeCheckError, match=r"documents=3"):
        ndcg(np.zeros(3), np.zeros(4), np.array([0, 3]))


def test_a_matrix_that_is_not_square_is_caught() -> None:
    with pytest.raises(TypeCheckError, match="'found'"):
        hessian(np.zeros((2, 3)), np.zeros(2))


def test_another_type_of_number_is_caught() -> None:
    with pytest.raises(TypeCheckError, match="'variances'"):
        swap_laplacian(CELLS, np.ones(3, dtype=np.int64))


def test_the_columns_of_a_table_must_be_of_one_length() -> None:
    with pytest.raises(TypeCheckError, match=r"cells=3"):
        replace(CELLS, clicks=np.zeros(2))
