"""Parameters that look a logit up: one for all, one per position, one per query-document pair, and their like."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float, Float64, Int

from clax.arrays import Array, FloatArray
from clax.batch import Batch, last_click_positions
from clax.logprob import log_bernoulli
from clax.parameters.base import Params, baseline, check_features, check_range
from clax.parameters.priors import L2, Prior

__all__ = [
    "BrowsingTable",
    "ColumnTable",
    "GlobalParam",
    "PairPositionTable",
    "PositionParam",
    "Table",
    "Tabular",
    "row_probabilities",
]

_INT32_ROWS = 2**31 - 1
_NOISE = 1e-5**0.5


class Tabular(ABC):
    """A parameter with one logit per row and a rule that gives every rank its row.

    EM, counting and exact aggregation work with any of these.
    """

    prior: Prior | None
    padding: ClassVar[bool] = True
    """Whether row 0 belongs to padding and is outside every prior."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows."""

    @abstractmethod
    def index(self, batch: Batch) -> Int[Array, "sessions ranks"]:
        """The row of every rank, int [B, P]."""

    def init(self, key: jax.Array) -> Params:  # noqa: ARG002 - the protocol's signature
        """All rows at the baseline."""
        return {"rows": baseline(self.rows)}

    def logits(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """The rows' logits, [B, P]."""
        return self.row_logits(params)[self.index(batch)]

    def row_logits(self, params: Params) -> Float[jax.Array, " rows"]:
        """All logits, [rows]."""
        return params["rows"]  # type: ignore[no-any-return]

    def from_row_logits(self, logits: Any) -> Params:
        """The weights under which :meth:`row_logits` are these, in the default float type."""
        return {"rows": jnp.asarray(logits, jnp.result_type(float))}

    def penalty(self, params: Params) -> Float[jax.Array, ""]:
        """The negative log prior of all rows but padding's."""
        if self.prior is None:
            return jnp.zeros(())
        return self.prior.penalty(self.row_logits(params)[int(self.padding) :])


@dataclass(frozen=True)
class GlobalParam(Tabular):
    """One probability for everything; its logit starts at a draw from N(0, 0.5²)."""

    prior: Prior | None = None
    padding: ClassVar[bool] = False

    @property
    def rows(self) -> int:
        """One."""
        return 1

    def index(self, batch: Batch) -> Int[Array, "sessions ranks"]:
        """Row 0 everywhere."""
        return jnp.zeros(batch.pair_ids.shape, jnp.int32)

    def init(self, key: jax.Array) -> Params:
        """A draw from N(0, 0.5²)."""
        return {"rows": 0.5 * jax.random.normal(key, (1,))}

    def logits(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """The one logit, [B, P]; broadcast, which is cheaper than a look-up."""
        return jnp.broadcast_to(params["rows"][0], batch.pair_ids.shape)


@dataclass(frozen=True)
class PositionParam(Tabular):
    """One probability per position 1..max_positions."""

    max_positions: int
    prior: Prior | None = None

    @property
    def rows(self) -> int:
        """One per position and one for padding."""
        return self.max_positions + 1

    def index(self, batch: Batch) -> Int[Array, "sessions ranks"]:
        """The position."""
        return batch.positions  # type: ignore[no-any-return]

    def check(self, batch: Batch) -> None:
        """Positions must fit the table."""
        check_range("position", batch.positions, self.max_positions, batch.mask)


@dataclass(frozen=True)
class Table(Tabular):
    """One probability per query-document pair: a trainable baseline plus one deviation per pair.

    A pair never seen in training keeps (almost) the baseline.
    """

    num_pairs: int
    prior: Prior | None = None

    @property
    def rows(self) -> int:
        """One per pair and one for padding."""
        return self.num_pairs + 1

    def index(self, batch: Batch) -> Int[Array, "sessions ranks"]:
        """The pair's number."""
        return batch.pair_ids  # type: ignore[no-any-return]

    def init(self, key: jax.Array) -> Params:
        """Baseline 1, deviations from N(0, 1e-5)."""
        return {"baseline": baseline(), "pair_rows": _NOISE * jax.random.normal(key, (self.rows,))}

    def logits(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """Baseline plus the pair's deviation, [B, P]; the whole table is never copied."""
        return params["baseline"] + params["pair_rows"][batch.pair_ids]  # type: ignore[no-any-return]

    def row_logits(self, params: Params) -> Float[jax.Array, " rows"]:
        """Baseline plus deviations, [rows]."""
        return params["baseline"] + params["pair_rows"]  # type: ignore[no-any-return]

    def from_row_logits(self, logits: Any) -> Params:
        """The weights with these logits and a baseline of 0."""
        rows = jnp.asarray(logits, jnp.result_type(float))
        return {"baseline": jnp.zeros((), rows.dtype), "pair_rows": rows}

    def penalty(self, params: Params) -> Float[jax.Array, ""]:
        """The negative log prior; L2 pulls towards the baseline, pseudo-counts act on the probabilities."""
        if isinstance(self.prior, L2):
            return self.prior.penalty(params["pair_rows"][1:])
        return super().penalty(params)

    def check(self, batch: Batch) -> None:
        """Pair numbers must fit the table."""
        check_range("pair id", batch.pair_ids, self.num_pairs, batch.mask)


@dataclass(frozen=True)
class PairPositionTable(Tabular):
    """One probability per pair and position (the document-rank CTR model)."""

    num_pairs: int
    max_positions: int
    prior: Prior | None = None
    padding: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.rows > _INT32_ROWS:
            raise UserError(
                f"{self.num_pairs} pairs at {self.max_positions} positions make {self.rows} rows, more than int32 can "
                "number; use fewer pairs or positions, or another model with a HashedTable"
            )

    @property
    def rows(self) -> int:
        """One per pair and position, with padding's."""
        return (self.num_pairs + 1) * (self.max_positions + 1)

    def index(self, batch: Batch) -> Int[Array, "sessions ranks"]:
        """Row ``pair * (max_positions + 1) + position``."""
        return batch.pair_ids * (self.max_positions + 1) + batch.positions  # type: ignore[no-any-return]

    def over_positions(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """The pair's logit averaged over positions 1..max_positions, [B, P]."""
        return params["rows"].reshape(self.num_pairs + 1, -1)[:, 1:].mean(1)[batch.pair_ids]  # type: ignore[no-any-return]

    def check(self, batch: Batch) -> None:
        """Pair numbers and positions must fit the table."""
        check_range("pair id", batch.pair_ids, self.num_pairs, batch.mask)
        check_range("position", batch.positions, self.max_positions, batch.mask)


@dataclass(frozen=True)
class BrowsingTable(Tabular):
    """One probability per position k and position l < k of the last click above it (0 = none): UBM's examination."""

    max_positions: int
    prior: Prior | None = None
    padding: ClassVar[bool] = False

    @property
    def rows(self) -> int:
        """(max_positions + 1)², most of the upper triangle unused."""
        return (self.max_positions + 1) ** 2

    def index(self, batch: Batch) -> Int[Array, "sessions ranks"]:
        """Row ``k * (max_positions + 1) + l``."""
        return batch.positions * (self.max_positions + 1) + last_click_positions(batch)  # type: ignore[no-any-return]

    def matrix(self, params: Params) -> Float[jax.Array, "positions last_clicks"]:
        """The logits as [k, l]."""
        return params["rows"].reshape(self.max_positions + 1, self.max_positions + 1)  # type: ignore[no-any-return]

    def penalty(self, params: Params) -> Float[jax.Array, ""]:
        """The negative log prior of the cells with 0 <= l < k."""
        if self.prior is None:
            return jnp.zeros(())
        return self.prior.penalty(self.matrix(params)[np.tril_indices(self.max_positions + 1, -1)])

    def check(self, batch: Batch) -> None:
        """Positions must fit the table."""
        check_range("position", batch.positions, self.max_positions, batch.mask)


@dataclass(frozen=True)
class ColumnTable(Tabular):
    """One probability per value of a categorical column of ``bias_features``, such as the device or the media type.

    Attributes:
        column: which column; it must hold whole numbers 0..size - 1.
        size: how many values.
    """

    column: int
    size: int
    prior: Prior | None = None
    padding: ClassVar[bool] = False

    @property
    def rows(self) -> int:
        """One per value."""
        return self.size

    def index(self, batch: Batch) -> Int[Array, "sessions ranks"]:
        """The column's value."""
        return batch.bias_features[..., self.column].astype(jnp.int32)  # type: ignore[no-any-return]

    def check(self, batch: Batch) -> None:
        """The column must exist and hold whole numbers in range."""
        check_features(batch, "bias_features", None)
        if self.column >= batch.bias_features.shape[-1]:
            raise UserError(f"bias_features have {batch.bias_features.shape[-1]} columns; there is no {self.column}")
        values = np.asarray(batch.bias_features)[..., self.column][np.asarray(batch.mask)]
        wrong = values[(values < 0) | (values >= self.size) | (values != np.floor(values))]
        if wrong.size:
            raise UserError(f"column {self.column} of bias_features holds {wrong[0]:g}, not one of 0..{self.size - 1}")


def row_probabilities(parameter: Tabular, params: Params) -> Float64[FloatArray, " rows"]:
    """All rows' probabilities as float64 [rows], on the host."""
    return np.exp(np.asarray(log_bernoulli(parameter.row_logits(params)).yes, np.float64))
