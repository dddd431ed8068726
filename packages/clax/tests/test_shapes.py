"""Shapes and types of arrays are checked at run time in these tests, which the conftest switches on."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clax.batch import make_batch
from clax.logprob import log_add, log_bernoulli, observed
from clax.losses import loss_terms
from clax.models import DCTR
from clax.models.chain import draw_examination
from clax.parameters import FunctionParam
from clax.ranking import ranking_metrics
from clax.standard_errors import schur_covariance
from jaxtyping import TypeCheckError


def test_a_mask_of_another_shape_is_caught() -> None:
    with pytest.raises(TypeCheckError, match="sessions=2"):
        draw_examination(*(jnp.ones((2, ranks), bool) for ranks in (3, 3, 3, 4)))


def test_numbers_in_place_of_booleans_are_caught() -> None:
    with pytest.raises(TypeCheckError, match="'clicks'"):
        observed(log_bernoulli(jnp.zeros((2, 3))), jnp.zeros((2, 3)))


def test_integers_in_place_of_logarithms_are_caught() -> None:
    with pytest.raises(TypeCheckError, match="'b'"):
        log_add(jnp.zeros(3), jnp.zeros(3, jnp.int32))


def test_lists_of_two_lengths_are_caught() -> None:
    with pytest.raises(TypeCheckError, match=r"queries=2\n\s*ranks=3"):
        ranking_metrics(np.zeros((2, 3)), np.zeros((2, 4)), np.zeros((2, 3), bool), at=(1,))


def test_cells_of_two_lengths_are_caught() -> None:
    with pytest.raises(TypeCheckError, match="cells=3"):
        schur_covariance(np.zeros(3, int), np.zeros(4, int), np.ones(3), 1, 1)


def test_shapes_are_checked_while_a_model_is_compiled() -> None:
    """A parameter that gives a logit per session instead of one per rank."""
    wrong = FunctionParam(lambda _: {}, lambda _, batch: jnp.zeros(len(batch.mask)))
    model = DCTR(wrong)
    with pytest.raises(TypeCheckError, match=r"ranks"):
        jax.jit(lambda batch: loss_terms(model, {"rate": {}}, batch))(make_batch([[1, 2, 3]]))
