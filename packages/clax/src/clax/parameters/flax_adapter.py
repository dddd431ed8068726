"""Parameters from outside: any Flax module (linen or nnx), or a pair of plain functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from ir_shared.console import UserError, missing_extra
from jaxtyping import Float

from clax.arrays import Array
from clax.batch import Batch
from clax.parameters.base import Params, check_features
from clax.parameters.networks import Source

__all__ = ["FlaxParam", "FunctionParam"]


@dataclass(frozen=True, eq=False)
class FlaxParam:
    """A Flax module that maps features [B, P, F] to one logit per rank, [B, P] or [B, P, 1].

    Attributes:
        module: a linen module, or for nnx a function from ``nnx.Rngs`` to a module (its class, often).
        features: width F of the input.
        source: which column of the batch is the input.

    Two of these are equal only if they are the same object: not every Flax module can be compared or hashed.

    The module must be a pure function of trainable weights: dropout and batch statistics are refused.
    """

    module: Any
    features: int
    source: Source = "features"

    def init(self, key: jax.Array) -> Params:
        """The module's own initialisation.

        Raises:
            UserError: Flax is not installed, or the module has state besides its weights.
        """
        if not self._is_linen():
            return _nnx_weights(self.module(_flax("nnx").Rngs(key)))[1]
        variables = dict(self.module.init(key, jnp.zeros((1, 1, self.features))))
        params = variables.pop("params", {})
        _refuse_state(variables)
        return params

    def logits(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """[B, P]."""
        x = getattr(batch, self.source)
        out = self.module.apply({"params": params}, x) if self._is_linen() else _nnx_apply(self.module, params, x)
        return out[..., 0] if out.ndim == x.ndim else out  # type: ignore[no-any-return]

    def check(self, batch: Batch) -> None:
        """The column must exist, have the right width and be finite."""
        check_features(batch, self.source, self.features)

    def _is_linen(self) -> bool:
        return isinstance(self.module, _flax("linen").Module)


@dataclass(frozen=True)
class FunctionParam:
    """A parameter from two plain functions.

    Attributes:
        initialise: from a random key to weights.
        function: from weights and a batch to logits [B, P].
    """

    initialise: Callable[[jax.Array], Params]
    function: Callable[[Params, Batch], jax.Array]

    def init(self, key: jax.Array) -> Params:
        """Calls the first function."""
        return self.initialise(key)

    def logits(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """Calls the second function."""
        return self.function(params, batch)


def _flax(part: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"flax.{part}")
    except ImportError as error:
        raise missing_extra("clax", "flax", "a Flax module as parameter") from error


def _nnx_weights(module: Any) -> tuple[Any, Params]:
    """The module's structure and its weights as plain nested dictionaries."""
    nnx = _flax("nnx")
    structure, weights, rest = nnx.split(module, nnx.Param, ...)
    _refuse_state(nnx.to_pure_dict(rest))
    return structure, nnx.to_pure_dict(weights)


@lru_cache(maxsize=64)
def _nnx_structure(factory: Callable[..., Any]) -> tuple[Any, Any]:
    nnx = _flax("nnx")
    structure, weights, _ = nnx.split(nnx.eval_shape(lambda: factory(nnx.Rngs(0))), nnx.Param, ...)
    return structure, weights


def _nnx_apply(factory: Callable[..., Any], params: Params, x: Array) -> Any:
    nnx = _flax("nnx")
    structure, weights = _nnx_structure(factory)
    filled = jax.tree.map(lambda leaf: leaf, weights)
    nnx.replace_by_pure_dict(filled, params)
    return nnx.merge(structure, filled)(x)


def _refuse_state(state: Any) -> None:
    if jax.tree.leaves(state):
        raise UserError(
            f"the Flax module keeps state besides its weights ({', '.join(map(str, state))}); remove dropout, batch "
            "normalisation and the like, since a parameter must be a pure function of its weights"
        )
