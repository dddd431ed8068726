"""Parameters computed from features: linear, multi-layer perceptron and deep-cross network; and sums of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Float

from clax.arrays import Array
from clax.batch import Batch
from clax.parameters.base import Parameter, Params, check_features, check_parameter, parameter_penalty
from clax.parameters.priors import L2

__all__ = ["MLP", "DeepCross", "Linear", "Source", "Sum"]

Source: TypeAlias = Literal["features", "bias_features"]
Precision: TypeAlias = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class _Network:
    """What the three networks share.

    Attributes:
        features: width F of the input.
        source: which column of the batch is the input.
        prior: on all kernels (not on biases and scales).
        precision: of the matrix products' inputs. They are summed in float32, and weights, normalisation and
            log-probabilities stay in float32, so ``"bfloat16"`` is safe here.
    """

    features: int
    source: Source = "features"
    prior: L2 | None = None
    precision: Precision = "float32"

    def penalty(self, params: Params) -> Float[jax.Array, ""]:
        """The negative log prior of the kernels."""
        if self.prior is None:
            return jnp.zeros(())
        kernels = [w for path, w in jax.tree_util.tree_leaves_with_path(params) if path[-1].key == "kernel"]
        return sum((self.prior.penalty(w) for w in kernels), start=jnp.zeros(()))

    def check(self, batch: Batch) -> None:
        """The column must exist, have the right width and be finite."""
        check_features(batch, self.source, self.features)

    def _dense(self, params: Params, x: Array) -> jax.Array:
        if self.precision == "float32":
            return x @ params["kernel"] + params["bias"]  # type: ignore[no-any-return]
        kernel = params["kernel"].astype(jnp.bfloat16)
        product = jnp.matmul(x.astype(jnp.bfloat16), kernel, preferred_element_type=jnp.float32)
        return product + params["bias"]  # type: ignore[no-any-return]

    def _block(self, params: Params, x: Array) -> jax.Array:
        return jax.nn.elu(_norm(params["norm"], self._dense(params["dense"], x)))


@dataclass(frozen=True)
class Linear(_Network):
    """Layer normalisation of the features, then one linear unit."""

    def init(self, key: jax.Array) -> Params:
        """LeCun-normal kernel, zero bias."""
        return {"norm": _norm_init(self.features), "out": _dense_init(key, self.features, 1)}

    def logits(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """[B, P]."""
        return self._dense(params["out"], _norm(params["norm"], getattr(batch, self.source)))[..., 0]


@dataclass(frozen=True)
class MLP(_Network):
    """Layer normalisation, hidden layers of (linear, layer normalisation, ELU), one linear unit.

    Attributes:
        hidden: widths of the hidden layers.
    """

    hidden: tuple[int, ...] = (16, 16)

    def init(self, key: jax.Array) -> Params:
        """LeCun-normal kernels, zero biases."""
        keys = jax.random.split(key, 2)
        last = self.hidden[-1] if self.hidden else self.features
        return {
            "norm": _norm_init(self.features),
            "deep": _deep_init(keys[0], self.features, self.hidden),
            "out": _dense_init(keys[1], last, 1),
        }

    def logits(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """[B, P]."""
        x = _norm(params["norm"], getattr(batch, self.source))
        for layer in range(len(self.hidden)):
            x = self._block(params["deep"][str(layer)], x)
        return self._dense(params["out"], x)[..., 0]


@dataclass(frozen=True)
class DeepCross(_Network):
    """Deep-cross network, version 2: cross layers ``x <- x0 * (W x + b) + x`` and a multi-layer perceptron.

    Attributes:
        cross_layers: how many cross layers.
        hidden: widths of the perceptron.
        parallel: feed both parts with the input and concatenate them, instead of stacking the perceptron on top.
    """

    cross_layers: int = 2
    hidden: tuple[int, ...] = (32, 32)
    parallel: bool = False

    def init(self, key: jax.Array) -> Params:
        """LeCun-normal kernels, zero biases."""
        cross, deep, out = jax.random.split(key, 3)
        last = self.hidden[-1] if self.hidden else self.features
        keys = jax.random.split(cross, max(self.cross_layers, 1))
        return {
            "norm": _norm_init(self.features),
            "cross": {str(i): _dense_init(keys[i], self.features, self.features) for i in range(self.cross_layers)},
            "deep": _deep_init(deep, self.features, self.hidden),
            "out": _dense_init(out, last + (self.features if self.parallel else 0), 1),
        }

    def logits(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """[B, P]."""
        start = x = _norm(params["norm"], getattr(batch, self.source))
        for layer in range(self.cross_layers):
            x = start * self._dense(params["cross"][str(layer)], x) + x
        deep = start if self.parallel else x
        for layer in range(len(self.hidden)):
            deep = self._block(params["deep"][str(layer)], deep)
        joined = jnp.concatenate([deep, x], -1) if self.parallel else deep
        return self._dense(params["out"], joined)[..., 0]


@dataclass(frozen=True)
class Sum:
    """The sum of other parameters' logits, such as a position's and a linear function of bias columns.

    Attributes:
        terms: the parameters.
    """

    terms: tuple[Parameter, ...]

    def init(self, key: jax.Array) -> Params:
        """Every term's weights, under its number."""
        keys = jax.random.split(key, len(self.terms))
        return {str(i): term.init(k) for i, (term, k) in enumerate(zip(self.terms, keys, strict=True))}

    def logits(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """[B, P]."""
        parts = [term.logits(params[str(i)], batch) for i, term in enumerate(self.terms)]
        return sum(parts[1:], start=parts[0])

    def penalty(self, params: Params) -> Float[jax.Array, ""]:
        """The terms' penalties together."""
        parts = [parameter_penalty(term, params[str(i)]) for i, term in enumerate(self.terms)]
        return sum(parts, start=jnp.zeros(()))

    def check(self, batch: Batch) -> None:
        """Every term must be able to look the batch up."""
        for i, term in enumerate(self.terms):
            check_parameter(f"term {i}", term, batch)


def _norm_init(width: int) -> Params:
    return {"scale": jnp.ones(width), "bias": jnp.zeros(width)}


def _dense_init(key: jax.Array, inputs: int, outputs: int) -> Params:
    return {"kernel": jax.nn.initializers.lecun_normal()(key, (inputs, outputs)), "bias": jnp.zeros(outputs)}


def _deep_init(key: jax.Array, inputs: int, hidden: tuple[int, ...]) -> Params:
    widths = (inputs, *hidden)
    keys = jax.random.split(key, max(len(hidden), 1))
    return {
        str(i): {"dense": _dense_init(keys[i], widths[i], widths[i + 1]), "norm": _norm_init(widths[i + 1])}
        for i in range(len(hidden))
    }


def _norm(params: Params, x: Array) -> jax.Array:
    """Layer normalisation over the last axis."""
    mean = x.mean(-1, keepdims=True)
    variance = jnp.square(x - mean).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-6) * params["scale"] + params["bias"]  # type: ignore[no-any-return]
