"""What a parameter is: the part of a click model that gives every rank of a batch one logit."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float

from clax.batch import Batch

__all__ = ["Parameter", "Params", "baseline", "check_features", "check_parameter", "check_range", "parameter_penalty"]

Params: TypeAlias = Any
"""A pytree of arrays: nested dictionaries with the parameters' names as keys."""


@runtime_checkable
class Parameter(Protocol):
    """Anything with these two methods is a parameter; it should be hashable (a frozen dataclass is).

    Two optional methods are used where they exist: ``penalty(params)``, a scalar added to the negative log-likelihood
    of the whole data set, and ``check(batch)``, which refuses on the host what the parameter cannot look up.
    """

    def init(self, key: jax.Array) -> Params:
        """Fresh weights."""
        ...

    def logits(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """One logit for each rank, [B, P]."""
        ...


def baseline(*shape: int) -> jax.Array:
    """Logits where all probabilities start: 1, a probability of 0.731."""
    return jnp.ones(shape)  # not jnp.full: its weak type would change in the first step and compile that anew


def parameter_penalty(parameter: Parameter, params: Params) -> jax.Array:
    """The parameter's negative log prior, 0 where it has none."""
    penalty = getattr(parameter, "penalty", None)
    return jnp.zeros(()) if penalty is None else penalty(params)


def check_parameter(name: str, parameter: Parameter, batch: Batch) -> None:
    """Refuses, on the host, a batch that the parameter cannot look up.

    Raises:
        UserError: naming the parameter, the value and the limit.
    """
    check = getattr(parameter, "check", None)
    if check is None:
        return
    try:
        check(batch)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def check_features(batch: Batch, source: str, width: int | None) -> None:
    """Refuses a batch whose feature column is missing, of another width, or not finite (also at hidden ranks).

    Args:
        batch: on the host.
        source: ``"features"`` or ``"bias_features"``.
        width: the expected width; None accepts any.

    Raises:
        UserError: says which.
    """
    values = getattr(batch, source)
    if values is None:
        raise UserError(f"the data has no column {source!r}, which this parameter reads")
    values = np.asarray(values)
    if width is not None and values.shape[-1] != width:
        raise UserError(f"{source} are {values.shape[-1]} wide, but the parameter was made for {width}")
    if not np.isfinite(values).all():
        raise UserError(f"{source} hold NaN or infinite values; hidden ranks, which may not hold them either, can be 0")


def check_range(what: str, values: Any, limit: int, mask: Any) -> None:
    """Refuses, on the host, numbers outside 1..limit on valid ranks and outside 0..limit elsewhere.

    Raises:
        UserError: names the number and the limit.
    """
    values, mask = np.asarray(values), np.asarray(mask)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low < 0 or high > limit:
        raise UserError(f"{what} {low if low < 0 else high} is outside the table of 1..{limit}")
    if low == 0 and (values[mask] == 0).any():
        raise UserError(f"{what} 0 on a valid rank: 0 is kept for padding, so number from 1")
