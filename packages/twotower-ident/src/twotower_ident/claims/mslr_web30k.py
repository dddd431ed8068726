"""Claims in the paper's own setting: its experiments on all of MSLR-WEB30K fold 1, as its code runs them.

A seed draws synthetic users, logging policies, logs and initial parameters; settings are compared within it. Hours each
on a processor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ir_shared.claims import Claim, Context, Control, Criterion, Measurement, Need

from twotower_ident.claims.misfit import POLICIES, smallest_step

if TYPE_CHECKING:
    from twotower_ident.experiments import PolicyKind, Protocol, SeededData
    from twotower_ident.splits import Splits

__all__ = ["CLAIMS"]

_FOLD = "mslr-web30k/Fold1"
_FIRST_SEED = 2021
_DATA = "MSLR-WEB30K fold 1 (real); clicks simulated"
_SETTINGS: dict[str, Any] = {}
"""Of the protocol; those of the paper where empty."""

_ENDS = (1.0, 0.0, -1.0)
_RATES = (0.0, 1 / 3, 2 / 3, 1.0)
_PAPER_GRID = tuple((strength, rate) for strength in _ENDS for rate in _RATES)
_EXPLORING = tuple((strength, rate) for strength, rate in _PAPER_GRID if rate > 0)


def sign_pattern(context: Context, experiment: str = "3-expert-policy") -> Measurement:
    """As :func:`twotower_ident.claims.misfit.sign_pattern`, with a deep tower trained on sampled logs."""
    rows = _rows(context, experiment, POLICIES, (False,))
    last = np.array([row["curve"][-1] for row in rows])
    truth = -float(np.log(len(rows[0]["curve"])))
    return _measured(smallest_step(last, truth), rows, lambda row: row["curve"][-1], "θ at the last position")


def indifference(context: Context, experiment: str = "2-model-fit-deep") -> Measurement:
    """The range of nDCG@10 over the policies."""
    rows = _rows(context, experiment, _PAPER_GRID, (False,))
    ndcg = [row["ndcg@10"] for row in rows]
    return _measured(max(ndcg) - min(ndcg), rows, lambda row: row["ndcg@10"], "nDCG@10")


def collapse(context: Context, weighted: bool = True) -> Measurement:
    """The range of the last position's bias over the policies that explore."""
    rows = _rows(context, "3-expert-policy", [policy for policy in _EXPLORING if policy[1] < 1], (weighted,))
    last = [row["curve"][-1] for row in rows]
    return _measured(max(last) - min(last), rows, lambda row: row["curve"][-1], "θ at the last position")


def small_change(context: Context) -> Measurement:
    """The largest change of nDCG@10 by weights, in either direction."""
    rows = _rows(context, "3-expert-policy", _EXPLORING, (False, True))
    changes = [after["ndcg@10"] - before["ndcg@10"] for before, after in zip(rows[::2], rows[1::2], strict=True)]
    return _measured(float(np.abs(changes).max()), rows, lambda row: row["ndcg@10"], "nDCG@10")


def uniform_instead(context: Context) -> Measurement:
    """The change of nDCG@10 from the perfect deterministic policy to full randomisation."""
    rows = _rows(context, "3-expert-policy", [(1.0, 0.0), (1.0, 1.0)], (False,))
    return _measured(rows[1]["ndcg@10"] - rows[0]["ndcg@10"], rows, lambda row: row["ndcg@10"], "nDCG@10")


def embedding_error(context: Context, rate: float = 0.0) -> Measurement:
    """The smallest mean squared error of an embedding tower's curve over the policies of one exploration rate."""
    rows = _rows(context, "2-model-fit-embedding", [(strength, rate) for strength in _ENDS], (False,))
    errors = [row["curve_error"] for row in rows]
    return _measured(min(errors), rows, lambda row: row["curve_error"], "mean squared error of the curve")


def _rows(
    context: Context, experiment: str, policies: Iterable[tuple[float, float]], weights: tuple[bool, ...]
) -> list[dict[str, Any]]:
    from twotower_ident.experiments import EXPERIMENTS, Protocol, Setting, run_setting

    chosen = EXPERIMENTS[experiment]
    protocol = Protocol(official=True, **_SETTINGS)
    seed = _FIRST_SEED + context.seed
    splits = _splits(context.data(_FOLD))
    seeded = _seeded(experiment, splits, seed, protocol)
    kind: PolicyKind = chosen.policies[0]
    grid = [Setting(kind, *policy, seed, weighted) for policy in policies for weighted in weights]
    rows = []
    for done, setting in enumerate(grid):
        rows.append(run_setting(chosen, seeded, setting, protocol))
        context.progress(done + 1, len(grid))
    return rows


@lru_cache(maxsize=1)
def _splits(folder: Path) -> Splits:
    from twotower_ident.letor import MSLR_FEATURES
    from twotower_ident.splits import read_splits

    return read_splits(folder, n_features=MSLR_FEATURES)


@lru_cache(maxsize=1)
def _seeded(experiment: str, splits: Splits, seed: int, protocol: Protocol) -> SeededData:
    from twotower_ident.experiments import EXPERIMENTS, seeded_data

    return seeded_data(EXPERIMENTS[experiment], splits, seed, protocol)


def _measured(
    value: float, rows: list[dict[str, Any]], figure: Callable[[dict[str, Any]], float], name: str
) -> Measurement:
    details = {}
    for row in rows:
        weights = ", weighted" if row["weighted"] else ""
        setting = f"α = {row['strength']:+.2f}, τ = {row['temperature']:.2f}{weights}"
        details[f"{name}, {setting}"] = float(figure(row))
    return Measurement(float(value), _DATA, details=details)


_NEEDS = tuple(
    Need(f"{_FOLD}/{split}.txt", "MSLR-WEB30K, 31,531 queries, from Microsoft Research", required=True)
    for split in ("train", "vali", "test")
)

CLAIMS = (
    Claim(
        name="misfit-and-policy-amplify-bias-mslr",
        statement="On MSLR-WEB30K a deep tower that the labels do not fit is bent by the policy as theory says.",
        paper=0.476,
        paper_note="the smallest step of θ_25, official result files",
        unit="logit",
        criterion=Criterion.above(0.1),
        measure=sign_pattern,
        control=Control("users whom a deep tower can express", partial(sign_pattern, experiment="2-model-fit-deep")),
        scale="paper",
        seeds=3,
        needs=_NEEDS,
    ),
    Claim(
        name="right-tower-ignores-the-policy-mslr",
        statement="On MSLR-WEB30K the ranking of a deep tower that fits does not depend on the policy.",
        paper=0.0017,
        paper_note="nDCG@10 between 0.9830 and 0.9847, official result files",
        unit="nDCG@10",
        criterion=Criterion.at_most(0.005),
        measure=indifference,
        control=Control(
            "users who go by the labels, expert policy", partial(indifference, experiment="3-expert-policy")
        ),
        scale="paper",
        seeds=3,
        needs=_NEEDS,
    ),
    Claim(
        name="weighting-collapses-the-curves-mslr",
        statement="On MSLR-WEB30K all expert policies that explore have one weighted curve.",
        paper=0.095,
        paper_note="the range of weighted θ_25, official result files",
        unit="logit",
        criterion=Criterion.at_most(0.2),
        measure=collapse,
        control=Control("without weights", partial(collapse, weighted=False)),
        scale="paper",
        seeds=3,
        needs=_NEEDS,
    ),
    Claim(
        name="weighting-changes-rankings-little-mslr",
        statement="On MSLR-WEB30K placement weights change nDCG@10 by less than 0.01.",
        paper=0.0072,
        paper_note="the largest seed-paired change, official result files",
        unit="nDCG@10",
        criterion=Criterion.at_most(0.01),
        measure=small_change,
        control=Control("full randomisation instead of a perfect deterministic policy", uniform_instead),
        scale="paper",
        seeds=3,
        needs=_NEEDS,
    ),
    Claim(
        name="embeddings-need-swaps-mslr",
        statement="On MSLR-WEB30K the curve of an embedding tower is wrong under every deterministic policy.",
        paper=0.136,
        paper_note="the smallest mean squared error over α = −1, 0, 1; 0.0003 with full randomisation",
        unit="squared logit",
        criterion=Criterion.above(0.05),
        measure=embedding_error,
        control=Control("full randomisation", partial(embedding_error, rate=1.0)),
        scale="paper",
        seeds=3,
        needs=_NEEDS,
    ),
)
