"""How long gradient training, EM and counting take to the same likelihood, as logs grow.

All times are of one run and one device, after compiling; on a CPU they are processor time. Ratios of them are what the
claims judge, as decimal logarithms: a mean over seeds and its interval then weigh twice and half alike. EM is run
twice: in the classic way, a Python loop over sessions (timed on part of the log, since its cost is proportional to it),
and vectorised, on exact counts where the model allows them. The likelihood to arrive at is that of 50 iterations, less
a thousandth of a nat a document, for EM as for training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ir_shared.claims import Context, Measurement

from clax.claims.classic_em import CLASSIC, sessions, start
from clax.claims.fits import (
    DATA,
    EM_MODELS,
    PRIOR,
    Log,
    climb,
    clock,
    fitted_model,
    in_chunks,
    sessions_of,
    split,
    trained,
)
from clax.claims.plots import plot_lines
from clax.em import count_estimates, fit_em
from clax.parameters import Tabular

__all__ = ["classic_em", "counting", "counting_against_gradient", "loops_against_gradient", "vectorised_em"]

_ITERATIONS = 50
_LOOPED = 2_000
_CLOSE = 1e-3
"""In nats a document: a fit has arrived when its likelihood is no further below the one to arrive at."""
_NEVER = 1e-3
"""The ratio where training does not arrive; above 0, for its logarithm's sake."""
_COUNTED = ("dctr", "cm")


def classic_em(context: Context) -> Measurement:
    """Log ratio of seconds, EM in Python over gradient training, for the model that gains least."""
    return _ratios(context, tuple(CLASSIC), "EM in Python", min)


def vectorised_em(context: Context) -> Measurement:
    """The same with EM vectorised, on the same device."""
    return _ratios(context, EM_MODELS, "vectorised EM", min)


def counting_against_gradient(context: Context) -> Measurement:
    """The same for models in closed form, with one pass of counting instead of EM."""
    return _ratios(context, _COUNTED, "counting", min)


def counting(context: Context) -> Measurement:
    """Log ratio of seconds, counting over gradient training, for the closed-form model where counting gains least."""
    return _ratios(context, _COUNTED, "counting", max)


def loops_against_gradient(context: Context) -> Measurement:
    """The same for PBM, which has no closed form, with EM in Python instead of counting."""
    return _ratios(context, ("pbm",), "EM in Python", max)


@dataclass(frozen=True)
class Race:
    """The ways to fit one model to one log.

    Attributes:
        sessions: how many.
        seconds: by way; ``gradient`` until it arrives, infinite if it does not.
    """

    sessions: int
    seconds: dict[str, float]

    def ratio(self, way: str) -> float:
        """How many times longer another way takes than gradient training; next to nothing if that does not arrive."""
        return max(self.seconds[way] / self.seconds["gradient"], _NEVER)

    def __str__(self) -> str:
        return ", ".join(f"{way} {seconds:.3g} s" for way, seconds in self.seconds.items())


def _ratios(context: Context, models: Sequence[str], way: str, choose: Callable[[list[float]], float]) -> Measurement:
    races: dict[str, list[Race]] = {}
    for done, name in enumerate(models):
        logs = [Log(name, context.seed, context.scale, long) for long in (False, True)]
        races[name] = [_race(log) for log in logs]
        context.progress(done + 1, len(models))
    return Measurement(
        value=math.log10(choose([found[-1].ratio(way) for found in races.values()])),
        data=f"{DATA}, ranked at random",
        details={f"{name}, {race.sessions} sessions": str(race) for name, found in races.items() for race in found},
        figures=plot_lines(
            context.folder / "ratios",
            {name: ([r.sessions for r in found], [r.ratio(way) for r in found]) for name, found in races.items()},
            ("sessions", f"seconds of {way} / seconds of gradient training"),
            "Above 1 gradient training is faster.",
        ),
    )


@lru_cache(maxsize=128)
def _race(log: Log) -> Race:
    if log.name in EM_MODELS:
        em = climb(log, _ITERATIONS)
        target = em.likelihoods[-1] - _CLOSE
        arrived = next(i for i, reached in enumerate(em.likelihoods) if reached >= target)
        seconds = {"vectorised EM": em.seconds[arrived]}
        if log.name in CLASSIC:
            seconds["EM in Python"] = (arrived + 1) * _loop_seconds(log)
    else:
        counted, optimum = _count(log)
        seconds, target = {"counting": counted}, optimum - _CLOSE
    return Race(len(sessions_of(log).mask), {"gradient": trained(log).seconds_to(target), **seconds})


def _count(log: Log) -> tuple[float, float]:
    """Seconds of counting, and the log-likelihood of a document that it reaches."""
    model, whole = fitted_model(log.name), sessions_of(log)
    began = clock()
    params = count_estimates(model, [whole], prior=PRIOR)
    seconds = clock() - began
    found = fit_em(model, in_chunks(whole), iterations=0, params=params)
    return seconds, float(found.log_likelihood[-1] / whole.mask.sum())


def _loop_seconds(log: Log) -> float:
    """Of one iteration over the whole log."""
    whole = sessions_of(log)
    (part,) = split(whole, min(_LOOPED, len(whole.mask)))
    plain = sessions(part)
    parameters = fitted_model(log.name).parameters()
    tables = start({key: p.rows for key, p in parameters.items() if isinstance(p, Tabular)})
    times = []
    for _ in range(2):
        began = clock()
        tables = CLASSIC[log.name](tables, plain)
        times.append(clock() - began)
    return min(times) * len(whole.mask) / len(plain)
