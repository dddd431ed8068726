"""A small network that predicts labels from features, the paper's learned logging policy. Importing it imports JAX."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from numpy.typing import NDArray

from twotower_ident.flax_towers import Relevance, export_relevance
from twotower_ident.towers import Deep, FittedModel, TwoTower

__all__ = ["fit_regressor"]

_TOWER = Deep(layers=2, width=32, dropout=0.1)
_BATCH = 512 * 25
_LEAST_STEPS = 16
"""Steps of an epoch on small data, where one full batch an epoch would stop before it had learned anything."""
_EPOCHS = 250
_MIN_DELTA = 5e-4
_PATIENCE = 1
_OPTIMISER = optax.adamw(1e-3)


def fit_regressor(
    features: NDArray[np.float64], labels: NDArray[np.float64], *, seed: int = 0
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Fits a 2 x 32 ELU network by squared error with AdamW 1e-3, until the training loss stalls for a second epoch.

    Args:
        features: shape [N, F].
        labels: shape [N].
        seed: of starting values, order and dropout.

    Returns:
        The network as a function of features [M, F], to predicted labels [M].
    """
    graph, state = nnx.split(Relevance(_TOWER, features.shape[1], nnx.Rngs(seed)))
    batch = max(1, min(_BATCH, len(labels) // _LEAST_STEPS))
    steps = len(labels) // batch
    data = jnp.asarray(features, dtype=jnp.float32), jnp.asarray(labels, dtype=jnp.float32)
    moments, best, bad = _OPTIMISER.init(state), float("inf"), 0
    rng = np.random.default_rng(seed)
    for number in range(_EPOCHS):
        rows = jnp.asarray(rng.permutation(len(labels))[: steps * batch].reshape(steps, batch))
        key = jax.random.fold_in(jax.random.key(seed), number)
        state, moments, value = _epoch(graph, state, moments, rows, key, data)
        if best - float(value) > _MIN_DELTA:
            best, bad = float(value), 0
        elif (bad := bad + 1) > _PATIENCE:
            break
    return FittedModel(TwoTower(_TOWER), np.zeros(1), export_relevance(nnx.merge(graph, state))).score


@partial(jax.jit, static_argnums=0)
def _epoch(
    graph: Any, state: Any, moments: Any, rows: jax.Array, key: jax.Array, data: tuple[jax.Array, jax.Array]
) -> tuple[Any, Any, jax.Array]:
    def loss(state: Any, rows: jax.Array, key: jax.Array) -> jax.Array:
        predicted, _ = nnx.merge(graph, state)(data[0][rows], key)
        return jnp.mean((predicted - data[1][rows]) ** 2)

    def step(carry: Any, given: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        state, moments = carry
        value, gradient = jax.value_and_grad(loss)(state, *given)
        updates, moments = _OPTIMISER.update(gradient, moments, state)
        return (optax.apply_updates(state, updates), moments), value

    (state, moments), losses = jax.lax.scan(step, (state, moments), (rows, jax.random.split(key, len(rows))))
    return state, moments, losses.mean()
