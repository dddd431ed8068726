"""Does gradient training reach the optimum that EM, or counting, reaches?"""

from __future__ import annotations

from collections.abc import Callable

from ir_shared.claims import Context, Measurement

from clax.claims.fits import DATA, EM_MODELS, PRIOR, Log, climb, fitted_model, in_chunks, sessions_of, trained
from clax.claims.plots import plot_bars
from clax.em import count_estimates, fit_em
from clax.models import MODEL_NAMES
from clax.parameters import Params

__all__ = ["counting_instead", "gradient_against_optimum"]

_ITERATIONS = 300
_HEURISTIC = ("dcm", "sdbn")
"""Counting is the classic estimator of these two, and not the maximum of their likelihood."""


def gradient_against_optimum(context: Context) -> Measurement:
    """The objective of the trained weights minus that of EM, or of counts where they are the optimum.

    The objective is the log-likelihood of the training log with one pseudo-count on each side, divided by the number of
    documents, in nats; the value is that of the model that falls behind most.
    """
    return _shortfall(context, MODEL_NAMES, lambda log: trained(log).params)


def counting_instead(context: Context) -> Measurement:
    """The same with the classic counting estimators of DCM and SDBN instead of trained weights."""
    return _shortfall(context, _HEURISTIC, _counted)


def _shortfall(context: Context, models: tuple[str, ...], weights: Callable[[Log], Params]) -> Measurement:
    gains = {}
    for done, name in enumerate(models):
        log = Log(name, context.seed, context.scale)
        found = _objective(log, weights(log))
        best = climb(log, _ITERATIONS).objective if name in EM_MODELS else _objective(log, _counted(log))
        gains[name] = found - best
        context.progress(done + 1, len(models))
    return Measurement(
        value=min(gains.values()),
        data=f"{DATA}, ranked at random",
        details={f"{name}, minus its optimum": gain for name, gain in gains.items()},
        figures=plot_bars(
            context.folder / "objective",
            {name: 1e3 * gain for name, gain in gains.items()},
            "gradient minus EM or counts, thousandths of a nat a document",
            f"Above 0 training found the better weights. EM has {_ITERATIONS} iterations.",
        ),
    )


def _counted(log: Log) -> Params:
    return count_estimates(fitted_model(log.name), [sessions_of(log)], prior=PRIOR)


def _objective(log: Log, params: Params) -> float:
    """Evaluated as EM evaluates it, in float64."""
    sessions = sessions_of(log)
    found = fit_em(fitted_model(log.name), in_chunks(sessions), iterations=0, params=params)
    return float(found.objective[-1] / sessions.mask.sum())
