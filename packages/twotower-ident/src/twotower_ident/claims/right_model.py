"""Claims on a model that is right: the logging policy has no effect, in the population limit and in a sample."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from ir_shared.claims import Context, Measurement

from twotower_ident.claims import curves
from twotower_ident.claims.documents import documents
from twotower_ident.claims.plots import plot_curves
from twotower_ident.ranking_metrics import curve_error

if TYPE_CHECKING:
    from twotower_ident.letor import RankingData

__all__ = ["population", "population_wrong", "sampled", "sampled_wrong"]

_POLICIES = tuple(product((1.0, 1 / 3, 0.0, -1.0), (0.0, 1 / 3, 1.0)))
_SAMPLED_POLICIES = tuple(product((1.0, 0.0, -1.0), (0.0, 1 / 3, 1.0)))
_SESSIONS = {"quick": 200_000, "laptop": 1_000_000, "paper": 1_000_000}


def population(context: Context) -> Measurement:
    """The largest |θ̂_k − θ_k| over positions and twelve policies, for users that a linear tower can express."""
    found = documents(context)
    return _population(context, found.right, found.data)


def population_wrong(context: Context) -> Measurement:
    """The same for users who go by the labels, which no linear tower expresses."""
    found = documents(context)
    return _population(context, found.train, found.data)


def sampled(context: Context) -> Measurement:
    """The largest mean squared error of the bias curve over nine policies, on simulated logs."""
    found = documents(context)
    return _sampled(context, found.right, found.data)


def sampled_wrong(context: Context) -> Measurement:
    """The same for users who go by the labels."""
    found = documents(context)
    return _sampled(context, found.train, found.data)


def _population(context: Context, data: RankingData, described: str) -> Measurement:
    truth = curves.truth(data)
    fitted = {}
    for done, policy in enumerate(_POLICIES):
        fitted[curves.name(policy)] = curves.fit(curves.expected(data, policy), data).position_bias
        context.progress(done + 1, len(_POLICIES))
    errors = {name: float(np.abs(curve - truth).max()) for name, curve in fitted.items()}
    return Measurement(
        value=max(errors.values()),
        data=described,
        details={f"largest error, {name}": f"{error:.1e}" for name, error in errors.items()},
        figures=plot_curves(context.folder, fitted, truth, "Twelve policies, one curve: the users' own."),
    )


def _sampled(context: Context, data: RankingData, described: str) -> Measurement:
    truth = curves.truth(data)
    sessions = _SESSIONS[context.scale]
    fitted = {}
    for done, policy in enumerate(_SAMPLED_POLICIES):
        cells = curves.sampled(data, policy, sessions, context.seed)
        fitted[curves.name(policy)] = curves.fit(cells, data).position_bias
        context.progress(done + 1, len(_SAMPLED_POLICIES))
    errors = {name: curve_error(curve, truth) for name, curve in fitted.items()}
    return Measurement(
        value=max(errors.values()),
        data=f"{described}, {sessions:,} sessions a log",
        details={f"mean squared error, {name}": f"{error:.5f}" for name, error in errors.items()},
        figures=plot_curves(context.folder, fitted, truth, "Nine simulated logs: sampling noise, and no policy in it."),
    )
