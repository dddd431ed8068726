"""An experiment's rows as a table beside the official figures, and as the paper's panels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twotower_ident.official_results import official_result

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["plot_experiment", "summary_rows"]

_SHOWN_POSITIONS = (2, 5, 10, 25)


def summary_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each setting, averaged over seeds, with the official figures where they are known.

    Args:
        rows: of :func:`twotower_ident.experiments.run_setting`.

    Returns:
        ``ndcg@10`` with its standard deviation over seeds, ``nll``, θ at positions 2, 5, 10 and 25, ``curve_error``,
        ``official_ndcg@10`` and ``official_theta_25``. What no seed identified is None.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        key = tuple(row[name] for name in ("experiment", "policy", "strength", "temperature", "weighted"))
        groups.setdefault(key, []).append(row)
    return [_summary(key, group) for key, group in groups.items()]


def plot_experiment(rows: Sequence[dict[str, Any]], path: str | Path, *, bias_strength: float = 1.0) -> list[Path]:
    """Bias curves at the largest α, one line for each τ, and nDCG@10 against α; saved as PNG and SVG.

    Args:
        rows: of one experiment and one policy, without or with weights.
        path: where, without the suffix.
        bias_strength: of the simulated users, for the grey curve of the truth.
    """
    from ir_shared.plotting import figure, save

    summary = summary_rows(rows)
    with figure(width=9.6, columns=2) as (fig, (left, right)):
        length = max(len(row["curve"]) for row in rows)
        positions = np.arange(1, length + 1)
        left.plot(positions, -bias_strength * np.log(positions), color="#888888", linewidth=4, alpha=0.5, label="users")
        top = max(row["strength"] for row in rows)
        for temperature in sorted({row["temperature"] for row in rows}):
            curves = [row["curve"] for row in rows if row["temperature"] == temperature and row["strength"] == top]
            label = f"τ = {temperature:.2f}"
            left.plot(positions, np.array(curves, dtype=np.float64).mean(axis=0), label=label)
            points = [row for row in summary if row["temperature"] == temperature and row["ndcg@10"] is not None]
            points.sort(key=lambda row: float(row["strength"]))
            right.plot([row["strength"] for row in points], [row["ndcg@10"] for row in points], marker="o", label=label)
        left.set(xlabel="position", ylabel="position bias (logit)", title=f"bias curves at α = {top:g}")
        right.set(xlabel="strength α of the logging policy", ylabel="nDCG@10", title="ranking")
        left.legend()
        return list(save(fig, path))


def _summary(key: tuple[Any, ...], group: list[dict[str, Any]]) -> dict[str, Any]:
    experiment, policy, strength, temperature, weighted = key
    curves = np.array([row["curve"] for row in group], dtype=np.float64)
    curve = curves.mean(axis=0)
    official = official_result(experiment, strength, temperature)
    found: dict[str, Any] = {
        "experiment": experiment,
        "policy": policy,
        "strength": strength,
        "temperature": temperature,
        "weighted": weighted,
        "seeds": len(group),
        "ndcg@10": _mean(group, "ndcg@10"),
        "ndcg@10_std": _deviation(group, "ndcg@10"),
        "nll": _mean(group, "nll"),
        "curve_error": _mean(group, "curve_error"),
    }
    for position in _SHOWN_POSITIONS:
        known = position <= len(curve) and np.isfinite(curve[position - 1])
        found[f"theta_{position}"] = float(curve[position - 1]) if known else None
    found["official_ndcg@10"] = found["official_theta_25"] = None
    if official is not None:
        found["official_ndcg@10"] = official.weighted_ndcg if weighted else official.ndcg
        found["official_theta_25"] = official.weighted_last if weighted else official.curve[-1]
    return found


def _values(group: list[dict[str, Any]], name: str) -> list[float]:
    return [row[name] for row in group if row[name] is not None]


def _mean(group: list[dict[str, Any]], name: str) -> float | None:
    values = _values(group, name)
    return float(np.mean(values)) if values else None


def _deviation(group: list[dict[str, Any]], name: str) -> float | None:
    values = _values(group, name)
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
