"""The two towers as Flax modules, and their loss on aggregated cells. Importing this imports JAX."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from twotower_ident.towers import Deep, Embedding, FittedModel, Linear, Tower, TwoTower

__all__ = ["Batch", "Relevance", "TwoTowerModule", "cell_loss", "export_relevance", "import_model", "model_loss"]


class Batch(NamedTuple):
    """Some pairs with all their cells.

    Attributes:
        inputs: features [B, F], or for an embedding tower pair indices [B].
        impressions: weighted impressions, [B, K].
        clicks: weighted clicks, [B, K].
    """

    inputs: jax.Array
    impressions: jax.Array
    clicks: jax.Array


class Relevance(nnx.Module):
    """A relevance tower.

    Args:
        tower: its shape.
        size: number of features, or of pairs for an embedding tower.
        rngs: source of the starting values: N(0, 1) for an embedding, LeCun normal otherwise.
    """

    def __init__(self, tower: Tower, size: int, rngs: nnx.Rngs) -> None:
        self.dropout = tower.dropout if isinstance(tower, Deep) else 0.0
        table: nnx.Param[Any] | None = None
        head: nnx.Linear | None = None
        layers: list[nnx.Linear] = []
        if isinstance(tower, Embedding):
            table = nnx.Param(jax.random.normal(rngs.params(), (size,)))
        elif isinstance(tower, Linear):
            head = nnx.Linear(size, 1, use_bias=False, rngs=rngs)
        else:
            widths = [size, *[tower.width] * tower.layers]
            layers = [nnx.Linear(before, after, rngs=rngs) for before, after in pairwise(widths)]
            head = nnx.Linear(widths[-1], 1, rngs=rngs)
        # Set once: nnx fixes at the first assignment whether an attribute holds parameters.
        self.table, self.layers, self.head = table, nnx.List(layers), head

    def __call__(self, inputs: jax.Array, key: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        """Scores [B] and the representation that they are read from [B, H]; dropout only with a key."""
        if self.table is not None:
            scores = self.table[...][inputs]
            return scores, scores[:, None]
        hidden = inputs
        for number, layer in enumerate(self.layers):
            hidden = nnx.elu(layer(hidden))
            if key is not None and self.dropout > 0:
                kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - self.dropout, hidden.shape)
                hidden = jnp.where(kept, hidden / (1 - self.dropout), 0.0)
        assert self.head is not None
        scores = self.head(hidden)[:, 0]
        return scores, hidden if len(self.layers) else scores[:, None]


class TwoTowerModule(nnx.Module):
    """Position parameters beside a relevance tower, and the head of gradient reversal where asked."""

    def __init__(self, config: TwoTower, size: int, n_positions: int, rngs: nnx.Rngs) -> None:
        start = jax.random.normal(rngs.params(), (n_positions,)) if config.normal_positions else jnp.zeros(n_positions)
        self.position = nnx.Param(start)
        self.relevance = Relevance(config.tower, size, rngs)
        width = config.tower.width if isinstance(config.tower, Deep) else 1
        self.adversary = nnx.Linear(width, 1, rngs=rngs) if config.gradient_reversal > 0 else None


def cell_loss(
    position: jax.Array, relevance: jax.Array, impressions: jax.Array, clicks: jax.Array, *, dropout: float = 0.0
) -> jax.Array:
    """Σ [m softplus(θ_k + γ_i) − y (θ_k + γ_i)], the negative log-likelihood of weighted clicks.

    With dropout, the expectation over the mask of every single impression: with probability r the bias logit is absent,
    else it counts 1/(1 − r) times. Aggregated impressions then need no random mask.

    Args:
        position: θ, [K].
        relevance: γ, [B].
        impressions: m, [B, K].
        clicks: y, [B, K].
        dropout: r.
    """
    linear = position + relevance[:, None]
    kept = position / (1 - dropout) + relevance[:, None]
    cost = (1 - dropout) * jax.nn.softplus(kept)
    if dropout > 0:
        cost = cost + dropout * jax.nn.softplus(relevance)[:, None]
    return jnp.sum(impressions * cost - clicks * linear)


def model_loss(
    model: TwoTowerModule,
    config: TwoTower,
    batch: Batch,
    *,
    pins: tuple[jax.Array, jax.Array],
    key: jax.Array | None = None,
) -> jax.Array:
    """The summed loss of a batch; with a key that of training, else the plain likelihood.

    Args:
        model: the towers.
        config: what they are.
        batch: pairs and cells.
        pins: which position parameters are held fast [K], and at what values [K].
        key: source of dropout, in training only.
    """
    scores, hidden = model.relevance(batch.inputs, key)
    held, values = pins
    position = jnp.where(held, values, model.position[...])
    if not config.bias:
        position = jnp.zeros_like(position)
    training = key is not None
    total = cell_loss(
        position, scores, batch.impressions, batch.clicks, dropout=config.bias_dropout if training else 0.0
    )
    if training and model.adversary is not None:
        strength = config.gradient_reversal
        reversed_hidden = (1 + strength) * jax.lax.stop_gradient(hidden) - strength * hidden
        guess = model.adversary(reversed_hidden)
        total += jnp.sum(batch.impressions * (guess - jax.lax.stop_gradient(position)) ** 2)
    return total


def export_relevance(relevance: Relevance) -> dict[str, NDArray[np.float64]]:
    """Copies of the tower's parameters, named as :class:`twotower_ident.towers.FittedModel` wants them."""
    if relevance.table is not None:
        return {"table": _copy(relevance.table)}
    assert relevance.head is not None
    if not len(relevance.layers):
        return {"kernel": _copy(relevance.head.kernel)[:, 0]}
    found = {}
    for number, layer in enumerate(relevance.layers):
        found[f"kernel_{number}"], found[f"bias_{number}"] = _copy(layer.kernel), _copy(layer.bias)
    return {**found, "kernel_head": _copy(relevance.head.kernel), "bias_head": _copy(relevance.head.bias)}


def import_model(towers: TwoTowerModule, fitted: FittedModel) -> None:
    """Sets the towers to a fitted model's parameters; positions without a number begin at the reference's."""
    known = np.nan_to_num(fitted.position_bias, nan=0.0, posinf=0.0, neginf=0.0) + fitted.level
    towers.position[...] = jnp.asarray(known, dtype=towers.position[...].dtype)
    relevance, given = towers.relevance, fitted.parameters
    if relevance.table is not None:
        _set(relevance.table, given["table"])
        return
    assert relevance.head is not None
    if not len(relevance.layers):
        _set(relevance.head.kernel, given["kernel"][:, None])
        return
    for number, layer in enumerate(relevance.layers):
        _set(layer.kernel, given[f"kernel_{number}"])
        _set(layer.bias, given[f"bias_{number}"])
    _set(relevance.head.kernel, given["kernel_head"])
    _set(relevance.head.bias, given["bias_head"])


def _set(parameter: Any, value: NDArray[np.float64]) -> None:
    parameter[...] = jnp.asarray(value, dtype=parameter[...].dtype)


def _copy(parameter: Any) -> NDArray[np.float64]:
    return np.array(parameter[...], dtype=np.float64)
