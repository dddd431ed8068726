"""The compiled steps of training: dense and sparse updates, and the loss of a batch without an update.

They are cached by model and optimiser, so that a second fit of the same kind compiles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ir_shared.console import UserError

from clax.batch import Batch
from clax.losses import Reduction, loss_terms
from clax.models import ClickModel, Mixture
from clax.parameters import FunctionParam, HashedTable, PairPositionTable, Parameter, Params, QRTable, Sum, Table

__all__ = ["Step", "adamw", "dense_step", "initialiser", "refuse_sparse", "sparse_step", "validation_terms"]

Step = Any
"""From (weights, optimiser state, batch, prior scale) to (weights, optimiser state, sum of losses, weight)."""

_NO_ROW = 2**31 - 1
_PAIR_ROWS = "pair_rows"
"""The key under which :class:`clax.parameters.Table` keeps one row per pair."""


@lru_cache(maxsize=32)
def adamw(learning_rate: float, weight_decay: float) -> optax.GradientTransformation:
    """AdamW; the same object for the same numbers, so that compiled steps are found again."""
    return optax.adamw(learning_rate, weight_decay=weight_decay)


@lru_cache(maxsize=64)
def initialiser(model: ClickModel) -> Callable[[jax.Array], Params]:
    """The compiled ``model.init``: one compilation instead of one for each small operation."""
    return jax.jit(model.init)


@lru_cache(maxsize=64)
def dense_step(model: ClickModel, optimizer: optax.GradientTransformation, reduction: Reduction) -> Step:
    """A step that updates all weights, and gives the arrays of the old ones back for reuse."""

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Params, state: Any, batch: Batch, prior_scale: jax.Array) -> tuple[Params, Any, Any]:
        terms, gradients = _value_and_gradients(model, params, batch, reduction, prior_scale)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, terms

    return step


@lru_cache(maxsize=64)
def sparse_step(model: ClickModel, optimizer: optax.GradientTransformation, reduction: Reduction) -> Step:
    """A step that touches only the rows of pair tables that the batch looks up.

    The rows of the batch's distinct pairs, and the optimiser's numbers for them, are gathered into a small table; the
    step is an ordinary one on it; then the rows are written back. Rows outside the batch get neither decay nor
    momentum, which is what differs from the dense step.
    """

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Params, state: Any, batch: Batch, prior_scale: jax.Array) -> tuple[Params, Any, Any]:
        distinct, places = jnp.unique(batch.pair_ids, size=batch.pair_ids.size, fill_value=-1, return_inverse=True)
        rows = jnp.where(distinct < 0, _NO_ROW, distinct)  # out of range: read as 0, never written
        small = batch._replace(pair_ids=places.reshape(batch.pair_ids.shape).astype(jnp.int32))
        few_params, few_state = _gather((params, state), rows)
        terms, gradients = _value_and_gradients(model, few_params, small, reduction, prior_scale)
        updates, few_state = optimizer.update(gradients, few_state, few_params)
        params, state = _scatter((params, state), (optax.apply_updates(few_params, updates), few_state), rows)
        return params, state, terms

    return step


@lru_cache(maxsize=64)
def validation_terms(model: ClickModel, reduction: Reduction) -> Any:
    """The compiled :func:`clax.losses.loss_terms` of a model."""
    return jax.jit(lambda params, batch: loss_terms(model, params, batch, reduction))


def refuse_sparse(model: ClickModel) -> None:
    """Refuses a model whose pairs are not all looked up in a :class:`clax.parameters.Table`.

    Raises:
        UserError: naming the parameter.
    """
    parameters = list(_parameters(model))
    for name, parameter in parameters:
        if isinstance(parameter, (HashedTable, QRTable, PairPositionTable, FunctionParam)):
            raise UserError(f"sparse updates need a Table for pairs, but {name} is a {type(parameter).__name__}")
    if not any(isinstance(parameter, Table) for _, parameter in parameters):
        raise UserError("sparse updates need a Table of query-document pairs, and this model has none")


def _parameters(model: ClickModel) -> Iterator[tuple[str, Parameter]]:
    for member in model.members if isinstance(model, Mixture) else ():
        yield from _parameters(member)
    for name, parameter in model.parameters().items():
        for term in parameter.terms if isinstance(parameter, Sum) else (parameter,):
            yield name, term


def _value_and_gradients(
    model: ClickModel, params: Params, batch: Batch, reduction: Reduction, prior_scale: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], Params]:
    def objective(weights: Params) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        total, weight = loss_terms(model, weights, batch, reduction)
        return total / jnp.maximum(weight, 1.0) + prior_scale * model.penalty(weights), (total, weight)

    (_, terms), gradients = jax.value_and_grad(objective, has_aux=True)(params)
    return terms, gradients


def _is_pair_table(path: tuple[Any, ...]) -> bool:
    return getattr(path[-1], "key", None) == _PAIR_ROWS


def _gather(tree: Any, rows: jax.Array) -> Any:
    def pick(path: tuple[Any, ...], x: jax.Array) -> jax.Array:
        return x.at[rows].get(mode="fill", fill_value=0) if _is_pair_table(path) else x

    return jax.tree_util.tree_map_with_path(pick, tree)


def _scatter(tree: Any, few: Any, rows: jax.Array) -> Any:
    def put(path: tuple[Any, ...], x: jax.Array, new: jax.Array) -> jax.Array:
        return x.at[rows].set(new, mode="drop") if _is_pair_table(path) else new

    return jax.tree_util.tree_map_with_path(put, tree, few)
