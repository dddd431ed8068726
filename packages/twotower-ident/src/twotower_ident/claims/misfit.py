"""Claims on a model that is wrong: the logging policy bends the bias curve, with a sign that depends on its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ir_shared.claims import Context, Measurement

from twotower_ident.claims import curves
from twotower_ident.claims.documents import documents
from twotower_ident.claims.plots import plot_curves
from twotower_ident.official_results import official_result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from twotower_ident.claims.curves import Policy
    from twotower_ident.letor import RankingData

__all__ = ["POLICIES", "near_official", "near_official_right", "sign_pattern", "sign_pattern_right", "smallest_step"]

POLICIES: tuple[Policy, ...] = ((1.0, 0.0), (1.0, 1 / 3), (1.0, 1.0), (-1.0, 1 / 3), (-1.0, 0.0))
"""From the policy that makes the curve steepest to the one that makes it flattest."""

_DRAWS = 100


def sign_pattern(context: Context) -> Measurement:
    """The smallest step of θ at the last position from policy to policy, and from both ends to the truth.

    Policies in the order of :data:`POLICIES`; positive when each makes the curve flatter than the one before, the first
    steeper and the last flatter than the truth. The interval resamples queries.
    """
    found = documents(context)
    return _sign_pattern(context, found.train, found.data)


def sign_pattern_right(context: Context) -> Measurement:
    """The same for users that the tower can express."""
    found = documents(context)
    return _sign_pattern(context, found.right, found.data)


def near_official(context: Context) -> Measurement:
    """The largest distance of θ_25 from the official figure of the same policy, over the five policies."""
    found = documents(context)
    return _near_official(context, found.train, found.data)


def near_official_right(context: Context) -> Measurement:
    """The same for users that the tower can express, whom no policy bends."""
    found = documents(context)
    return _near_official(context, found.right, found.data)


def smallest_step(last: NDArray[np.float64], truth: float) -> float:
    """The smallest of the steps between θ of consecutive policies, and of both ends from the truth."""
    return float(min(*np.diff(last), truth - last[0], last[-1] - truth))


def _sign_pattern(context: Context, data: RankingData, described: str) -> Measurement:
    truth = curves.truth(data)
    found, interval = curves.query_bootstrap(
        data,
        POLICIES,
        lambda drawn: smallest_step(drawn[:, -1], float(truth[-1])),
        draws=_DRAWS,
        progress=context.progress,
    )
    named = {curves.name(policy): curve for policy, curve in zip(POLICIES, found, strict=True)}
    last = f"θ at position {len(truth)}"
    return Measurement(
        value=smallest_step(found[:, -1], float(truth[-1])),
        data=described,
        interval=interval,
        details={
            f"{last}, users": float(truth[-1]),
            **{f"{last}, {name}": float(curve[-1]) for name, curve in named.items()},
        },
        figures=plot_curves(
            context.folder, named, truth, "Good documents on top make the curve too steep, at the bottom too flat."
        ),
    )


def _near_official(context: Context, data: RankingData, described: str) -> Measurement:
    truth = curves.truth(data)
    named, official = {}, {}
    for policy in POLICIES:
        result = official_result("3-expert-policy", *policy)
        assert result is not None  # the five settings are in the table
        name = curves.name(policy)
        named[name] = curves.fit(curves.expected(data, policy), data).position_bias
        official[name] = result.curve[-1]
    apart = [abs(named[name][-1] - value) for name, value in official.items()]
    return Measurement(
        value=float(max(apart)),
        data=described,
        details={f"θ_25, {name}": f"{named[name][-1]:.3f}, official {value:.3f}" for name, value in official.items()},
        figures=plot_curves(context.folder, named, truth, "The curves whose ends are held against the official ones."),
    )
