"""Claims on placement weights: what they do to the bias curve, and what to the ranking."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from ir_shared.claims import Context, Measurement

from twotower_ident.claims import curves
from twotower_ident.claims.documents import Documents, documents
from twotower_ident.claims.plots import plot_curves, plot_points
from twotower_ident.ranking_metrics import ndcg

if TYPE_CHECKING:
    from twotower_ident.cells import CellTable
    from twotower_ident.claims.curves import Policy
    from twotower_ident.exact_fit import ExactFit
    from twotower_ident.letor import RankingData

__all__ = [
    "changes_signs",
    "changes_signs_without_exploration",
    "collapse",
    "collapse_sampled",
    "collapse_sampled_unweighted",
    "collapse_unweighted",
    "no_effect_with_exploration",
    "no_effect_without_exploration",
    "small",
    "small_few_features",
]

_EXPLORING: tuple[Policy, ...] = tuple(product((1.0, 1 / 3, -1.0), (0.1, 1 / 3, 2 / 3)))
_GRID: tuple[Policy, ...] = tuple(product((1.0, 0.0, -1.0), (1 / 3, 2 / 3, 1.0)))
_STILL: tuple[Policy, ...] = tuple(product((1.0, 0.0, -1.0), (0.0,)))
_SESSIONS = {"quick": 200_000, "laptop": 1_000_000, "paper": 1_000_000}
_FEW = 5


def collapse(context: Context) -> Measurement:
    """The largest distance of a weighted population curve from that of uniform logging, over nine policies."""
    return _collapse(context, weighted=True)


def collapse_unweighted(context: Context) -> Measurement:
    """The same without weights."""
    return _collapse(context, weighted=False)


def collapse_sampled(context: Context) -> Measurement:
    """The range of θ at the last position over six exploring policies, weighted, on simulated logs."""
    return _range(context, weighted=True)


def collapse_sampled_unweighted(context: Context) -> Measurement:
    """The same without weights."""
    return _range(context, weighted=False)


def no_effect_without_exploration(context: Context) -> Measurement:
    """The largest difference that weights make to a curve on logs of deterministic policies."""
    return _effect(context, _STILL)


def no_effect_with_exploration(context: Context) -> Measurement:
    """The same on logs of policies that explore."""
    return _effect(context, tuple((strength, 1 / 3) for strength, _ in _STILL))


def small(context: Context) -> Measurement:
    """The largest change of nDCG@10, in either direction, by weights; over nine policies."""
    return _ndcg(context, _changes(context, _GRID), "largest")


def small_few_features(context: Context) -> Measurement:
    """The largest change by withholding all but five features instead."""
    found = documents(context)
    few = Documents(_narrow(found.train), _narrow(found.test), found.data)
    changes = {}
    for policy in _GRID[:3]:
        cells = _log(found, policy, context)
        every, five = (_quality(one, curves.fit(cells, one.train)) for one in (found, few))
        changes[policy] = (every, five)
    return _ndcg(context, changes, "largest")


def changes_signs(context: Context) -> Measurement:
    """The smaller of the largest gain and the largest loss of nDCG@10 by weights; over nine policies."""
    return _ndcg(context, _changes(context, _GRID), "both ways")


def changes_signs_without_exploration(context: Context) -> Measurement:
    """The same over deterministic policies."""
    return _ndcg(context, _changes(context, _STILL), "both ways")


def _collapse(context: Context, *, weighted: bool) -> Measurement:
    found = documents(context)
    data = found.train
    uniform = curves.fit(curves.expected(data, (1.0, 1.0)), data).position_bias
    named = {}
    for done, policy in enumerate(_EXPLORING):
        named[curves.name(policy)] = curves.fit(curves.expected(data, policy), data, weighted=weighted).position_bias
        context.progress(done + 1, len(_EXPLORING))
    apart = {name: float(np.abs(curve - uniform).max()) for name, curve in named.items()}
    return Measurement(
        value=max(apart.values()),
        data=found.data,
        details={
            "θ at the last position, users": float(curves.truth(data)[-1]),
            "θ at the last position, uniform logging": float(uniform[-1]),
            **{f"distance, {name}": f"{value:.1e}" for name, value in apart.items()},
        },
        figures=plot_curves(
            context.folder,
            named,
            curves.truth(data),
            "Weighted, all policies that explore give one curve, not the users'.",
        ),
    )


def _range(context: Context, *, weighted: bool) -> Measurement:
    found = documents(context)
    policies = [policy for policy in _GRID if policy[1] < 1]
    named = {}
    for done, policy in enumerate(policies):
        cells = _log(found, policy, context)
        named[curves.name(policy)] = curves.fit(cells, found.train, weighted=weighted).position_bias
        context.progress(done + 1, len(policies))
    last = [curve[-1] for curve in named.values()]
    return Measurement(
        value=float(max(last) - min(last)),
        data=f"{found.data}, {_SESSIONS[context.scale]:,} sessions a log",
        details={f"θ at the last position, {name}": float(curve[-1]) for name, curve in named.items()},
        figures=plot_curves(context.folder, named, curves.truth(found.train), "Curves of the six policies."),
    )


def _effect(context: Context, policies: tuple[Policy, ...]) -> Measurement:
    found = documents(context)
    effects = {}
    for policy in policies:
        cells = _log(found, policy, context)
        plain, weighted = (curves.fit(cells, found.train, weighted=w).position_bias for w in (False, True))
        effects[curves.name(policy)] = float(np.abs(weighted - plain).max())
    return Measurement(
        value=max(effects.values()),
        data=f"{found.data}, {_SESSIONS[context.scale]:,} sessions a log",
        details={f"largest difference, {name}": effect for name, effect in effects.items()},
    )


@lru_cache(maxsize=64)
def _simulated(data: RankingData, policy: Policy, sessions: int, seed: int) -> CellTable:
    """Several claims look at one log."""
    return curves.sampled(data, policy, sessions, seed)


def _log(found: Documents, policy: Policy, context: Context) -> CellTable:
    return _simulated(found.train, policy, _SESSIONS[context.scale], context.seed)


def _changes(context: Context, policies: tuple[Policy, ...]) -> dict[Policy, tuple[float, float]]:
    """nDCG@10 without and with weights, by policy."""
    found = documents(context)
    changes = {}
    for done, policy in enumerate(policies):
        cells = _log(found, policy, context)
        without, with_weights = (
            _quality(found, curves.fit(cells, found.train, weighted=weighted)) for weighted in (False, True)
        )
        changes[policy] = (without, with_weights)
        context.progress(done + 1, len(policies))
    return changes


def _ndcg(context: Context, changes: dict[Policy, tuple[float, float]], what: str) -> Measurement:
    deltas = {policy: after - before for policy, (before, after) in changes.items()}
    gain, loss = max(deltas.values()), -min(deltas.values())
    rows = [(curves.name(policy), *values) for policy, values in changes.items()]
    return Measurement(
        value=max(gain, loss) if what == "largest" else min(gain, loss),
        data=f"{documents(context).data}, {_SESSIONS[context.scale]:,} sessions a log",
        details={f"change, {curves.name(policy)}": f"{delta:+.4f}" for policy, delta in deltas.items()},
        figures=plot_points(
            context.folder,
            rows,
            ("before", "after"),
            "nDCG@10 on the test queries",
            "The ranking before and after the change, by policy.",
        ),
    )


def _quality(found: Documents, fitted: ExactFit) -> float:
    test = found.test
    return float(ndcg(fitted.score(test.features), test.labels, test.offsets, k=10).mean())


def _narrow(data: RankingData) -> RankingData:
    return replace(data, features=data.features[:, :_FEW])
