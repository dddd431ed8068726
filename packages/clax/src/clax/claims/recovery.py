"""Does training find the parameters that a log was simulated with?"""

from __future__ import annotations

import numpy as np
from ir_shared.claims import Context, Measurement
from numpy.typing import NDArray

from clax.claims.fits import DATA, EM_MODELS, Log, fitted_model, sessions_of, trained, world_of
from clax.claims.plots import plot_examination
from clax.diagnostics import recovery
from clax.models import PBM
from clax.parameters import Params, PositionParam, row_probabilities

__all__ = ["confounded", "recovered"]


def recovered(context: Context) -> Measurement:
    """The largest error of PBM's examination relative to the first position, over positions.

    The details tell how well the parameters of the other models are recovered from their own logs.
    """
    details: dict[str, object] = {}
    for done, name in enumerate(EM_MODELS):
        log = Log(name, context.seed, context.scale, long=True)
        rows = recovery(fitted_model(name), trained(log).params, world_of(name, log.seed).params, [sessions_of(log)])
        details |= {
            f"{name}, {row.parameter}": f"error {row.rmse:.4f}, correlation {row.correlation:.4f}"
            if row.rows > 1
            else f"error {row.rmse:.4f}"
            for row in rows
        }
        context.progress(done + 1, len(EM_MODELS))
    return _examination(context, Log("pbm", context.seed, context.scale, long=True), details)


def confounded(context: Context) -> Measurement:
    """The same where every list is sorted by true attraction, so that nothing can tell position from it."""
    return _examination(context, Log("pbm", context.seed, context.scale, long=True, confounding=1.0), {})


def _examination(context: Context, log: Log, details: dict[str, object]) -> Measurement:
    model = fitted_model("pbm")
    found, true = (_relative(model, params) for params in (trained(log).params, world_of("pbm", log.seed).params))
    ranking = "sorted by true attraction" if log.confounding else "ranked at random"
    return Measurement(
        value=float(np.abs(found - true).max()),
        data=f"{DATA}, {len(sessions_of(log).mask):,} sessions, {ranking}",
        details=details,
        figures=plot_examination(context.folder / "examination", true, found),
    )


def _relative(model: object, params: Params) -> NDArray[np.float64]:
    """Examination by position over that of the first."""
    assert isinstance(model, PBM)
    assert isinstance(model.examination, PositionParam)
    theta = row_probabilities(model.examination, params["examination"])[1:]
    return np.asarray(theta / theta[0])
