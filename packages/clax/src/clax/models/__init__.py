"""The click models, and the usual form of each by name."""

from __future__ import annotations

from collections.abc import Callable

from ir_shared.console import UserError

from clax.models.base import ClickModel, PairModel, Sample
from clax.models.cascade import CCM, CM, DBN, DCM, SDBN, ChainModel
from clax.models.ctr import DCTR, DRCTR, GCTR, RCTR
from clax.models.mixture import Mixture
from clax.models.position_based import PBM
from clax.models.user_browsing import UBM
from clax.parameters import (
    BrowsingTable,
    GlobalParam,
    PairPositionTable,
    Parameter,
    PositionParam,
    PseudoCounts,
    Table,
)

__all__ = [
    "CCM",
    "CM",
    "DBN",
    "DCM",
    "DCTR",
    "DRCTR",
    "GCTR",
    "MODEL_NAMES",
    "PBM",
    "RCTR",
    "SDBN",
    "UBM",
    "ChainModel",
    "ClickModel",
    "Mixture",
    "PairModel",
    "Sample",
    "build_model",
]

MODEL_NAMES = ("gctr", "rctr", "dctr", "drctr", "cm", "pbm", "ubm", "dcm", "ccm", "dbn", "sdbn")
"""What :func:`build_model` knows; names joined by ``+`` make a mixture with shared attraction."""


def build_model(
    name: str,
    num_pairs: int,
    max_positions: int,
    *,
    prior: PseudoCounts | None = None,
    pair_parameter: Callable[[], Parameter] | None = None,
) -> ClickModel:
    """A model in its usual form: a table over pairs, one over positions, one number for the rest.

    Args:
        name: one of :data:`MODEL_NAMES`, or several joined by ``+`` for a mixture.
        num_pairs: pairs are 1..num_pairs.
        max_positions: positions are 1..max_positions.
        prior: on every probability.
        pair_parameter: makes the parameter of query-document pairs, instead of a table (a hashed one, a network).

    Raises:
        UserError: there is no such model.
    """
    if "+" in name:
        members = tuple(
            build_model(part, num_pairs, max_positions, prior=prior, pair_parameter=pair_parameter)
            for part in name.split("+")
        )
        share = sum("attraction" in m.parameters() for m in members) > 1
        return Mixture(members, shared=("attraction",) if share else ())

    def pair() -> Parameter:
        return Table(num_pairs, prior) if pair_parameter is None else pair_parameter()

    def position() -> Parameter:
        return PositionParam(max_positions, prior)

    def single() -> Parameter:
        return GlobalParam(prior)

    builders: dict[str, Callable[[], ClickModel]] = {
        "gctr": lambda: GCTR(single()),
        "rctr": lambda: RCTR(position()),
        "dctr": lambda: DCTR(pair()),
        "drctr": lambda: DRCTR(PairPositionTable(num_pairs, max_positions, prior)),
        "cm": lambda: CM(pair()),
        "pbm": lambda: PBM(pair(), position()),
        "ubm": lambda: UBM(pair(), BrowsingTable(max_positions, prior)),
        "dcm": lambda: DCM(pair(), position()),
        "ccm": lambda: CCM(pair(), single(), single(), single()),
        "dbn": lambda: DBN(pair(), pair(), single()),
        "sdbn": lambda: SDBN(pair(), pair()),
    }
    if name not in builders:
        raise UserError(f"no click model {name!r}; choose one of {', '.join(MODEL_NAMES)}, or join some with '+'")
    return builders[name]()
