"""Tables with fewer rows than pairs: hashing and the quotient-remainder trick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from ir_shared.console import UserError
from jaxtyping import Float, Int

from clax.arrays import Array
from clax.batch import Batch
from clax.parameters.base import Params, baseline, check_range
from clax.parameters.priors import L2, Prior
from clax.parameters.table import Tabular

__all__ = ["HashedTable", "QRTable"]

_NOISE = 1e-5**0.5


@dataclass(frozen=True)
class HashedTable(Tabular):
    """A table of ``ceil(num_pairs / ratio)`` rows; pairs share rows by a seeded hash.

    The hash is two rounds of 32-bit multiply and xor-shift, computed on the device: no 64-bit integers are needed.

    Attributes:
        num_pairs: pairs are 1..num_pairs.
        ratio: pairs per row.
        seed: chooses the hash function.
        signed: give each pair a sign as feature hashing does. With one number per row it makes colliding pairs pull
            in opposite directions, so it is off by default; EM and counting need it off.
    """

    num_pairs: int
    ratio: float = 10.0
    seed: int = 0
    signed: bool = False
    prior: Prior | None = None
    padding: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_ratio(self.ratio)

    @property
    def rows(self) -> int:
        """``ceil(num_pairs / ratio)``."""
        return max(1, int(-(-self.num_pairs // self.ratio)))

    def index(self, batch: Batch) -> Int[Array, "sessions ranks"]:
        """The pair's row."""
        return jnp.asarray(_mix(batch.pair_ids, self.seed) % jnp.uint32(self.rows), jnp.int32)

    def init(self, key: jax.Array) -> Params:
        """Baseline 1, deviations from N(0, 1e-5)."""
        return {"baseline": baseline(), "rows": _NOISE * jax.random.normal(key, (self.rows,))}

    def logits(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """Baseline plus the (signed) deviation of the pair's row, [B, P]."""
        deviation = params["rows"][self.index(batch)]
        if self.signed:
            deviation = jnp.where(_mix(batch.pair_ids, self.seed + 1) >> 31, -deviation, deviation)
        return params["baseline"] + deviation  # type: ignore[no-any-return]

    def row_logits(self, params: Params) -> Float[jax.Array, " rows"]:
        """Baseline plus deviations, [rows]."""
        return params["baseline"] + params["rows"]  # type: ignore[no-any-return]

    def from_row_logits(self, logits: Array) -> Params:
        """The weights with these logits and a baseline of 0."""
        rows = jnp.asarray(logits, jnp.result_type(float))
        return {"baseline": jnp.zeros((), rows.dtype), "rows": rows}

    def penalty(self, params: Params) -> Float[jax.Array, ""]:
        """The negative log prior; L2 pulls towards the baseline."""
        return self.prior.penalty(params["rows"]) if isinstance(self.prior, L2) else super().penalty(params)

    def check(self, batch: Batch) -> None:
        """Pair numbers must be what the table was made for, as a foreign vocabulary would go unnoticed."""
        check_range("pair id", batch.pair_ids, self.num_pairs, batch.mask)


@dataclass(frozen=True)
class QRTable:
    """Two small tables whose entries combine into one logit per pair, so that no two pairs share both.

    Pair i has quotient row ``i mod Q`` and remainder row ``i div Q`` with Q = ceil(num_pairs / ratio) + 1. Neighbouring
    numbers thus differ in their quotient row, which is what shuffling the pairs first would buy.

    Attributes:
        num_pairs: pairs are 1..num_pairs.
        ratio: how much smaller the quotient table is; also the size of the remainder table.
        combine: ``"product"`` (remainders start at 1: a product of two tiny numbers has no gradient) or ``"sum"``.
        prior: on the entries of the quotient table.
    """

    num_pairs: int
    ratio: int = 10
    combine: Literal["product", "sum"] = "product"
    prior: L2 | None = None

    def __post_init__(self) -> None:
        _check_ratio(self.ratio)

    @property
    def quotients(self) -> int:
        """Rows of the larger table."""
        return -(-self.num_pairs // self.ratio) + 1

    def init(self, key: jax.Array) -> Params:
        """Baseline 1, quotients from N(0, 1e-5), remainders at 1 (product) or 0 (sum)."""
        remainder = (jnp.ones if self.combine == "product" else jnp.zeros)(self.ratio)
        quotient = _NOISE * jax.random.normal(key, (self.quotients,))
        return {"baseline": baseline(), "quotient": quotient, "remainder": remainder}

    def logits(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """Baseline plus the combined entries, [B, P]."""
        quotient = params["quotient"][batch.pair_ids % self.quotients]
        remainder = params["remainder"][batch.pair_ids // self.quotients]
        both = quotient * remainder if self.combine == "product" else quotient + remainder
        return params["baseline"] + both  # type: ignore[no-any-return]

    def penalty(self, params: Params) -> Float[jax.Array, ""]:
        """The negative log prior."""
        return jnp.zeros(()) if self.prior is None else self.prior.penalty(params["quotient"])

    def check(self, batch: Batch) -> None:
        """Pair numbers must fit the tables."""
        check_range("pair id", batch.pair_ids, self.num_pairs, batch.mask)


def _check_ratio(ratio: float) -> None:
    if not ratio >= 1:
        raise UserError(f"ratio {ratio}: a smaller table has at least 1 pair per row")


def _mix(ids: Array, seed: int) -> jax.Array:
    """A 32-bit integer hash (xor-shift and multiply, twice), with full avalanche; uint32, the shape of ids."""
    x = jnp.asarray(ids).astype(jnp.uint32) ^ jnp.uint32((seed * 0x9E3779B9 + 0x85EBCA6B) & 0xFFFFFFFF)
    for multiplier in (0x7FEB352D, 0x846CA68B):
        x = (x ^ (x >> 16)) * jnp.uint32(multiplier)
    return jnp.asarray(x ^ (x >> 16))
