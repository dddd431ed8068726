"""What ``train`` reads: a click log, or learning-to-rank documents on which a log is simulated first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from twotower_ident.commands.model_options import features_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twotower_ident.cells import CellTable
    from twotower_ident.click_log import ClickLog
    from twotower_ident.towers import Inputs

__all__ = ["Simulation", "TrainInputs", "from_letor", "from_log"]


@dataclass(frozen=True)
class Simulation:
    """How clicks on LETOR documents are simulated: an expert policy, ε-greedy, users who go by the labels.

    Attributes:
        strength: α.
        temperature: τ.
        sessions: how many.
        log: whether to take features to signed logarithms.
        n_features: of the file, where its last ones are left out.
    """

    strength: float
    temperature: float
    sessions: int
    log: bool
    n_features: int | None


@dataclass(frozen=True, eq=False)
class TrainInputs:
    """A log with what a tower reads.

    Attributes:
        cells: the log.
        session_weights: 1 / (documents of the session) of each cell, on average, shape [C]; None where unknown.
        features: of each pair, shape [P, F]; None for an embedding tower.
        inputs: what the features are called; None for an embedding tower.
        merge: first position of each group, where the log merges positions.
    """

    cells: CellTable
    session_weights: NDArray[np.float64] | None
    features: NDArray[np.float64] | None
    inputs: Inputs | None
    merge: tuple[int, ...] = ()


def from_log(log: ClickLog, features: str | None, feature_column: list[str] | None, *, embedding: bool) -> TrainInputs:
    """Aggregates a log and, unless the tower is an embedding, reads its features."""
    from twotower_ident.towers import Inputs

    cells = log.cells(count_sessions=True)
    weights = log.cells(weighting="session").impressions / cells.impressions if log.has_sessions else None
    if embedding:
        return TrainInputs(cells, weights, None, None, log.merge)
    found = features_of(log, features, feature_column)
    return TrainInputs(cells, weights, found.values, Inputs(tuple(found.names)), log.merge)


def from_letor(path: Path, simulation: Simulation, seed: int, *, embedding: bool) -> TrainInputs:
    """Simulates a log on the documents of a LETOR file, the 25 best labels of each query."""
    from twotower_ident.exact_fit import list_weights
    from twotower_ident.letor import prepare, read_letor
    from twotower_ident.policies import EpsilonGreedy, ExpertPolicy
    from twotower_ident.simulate import make_world, simulate_cells
    from twotower_ident.towers import Inputs
    from twotower_ident.user_models import UserModel

    data = prepare(read_letor(path, n_features=simulation.n_features), log=simulation.log)
    world = make_world(data, ExpertPolicy(simulation.strength), UserModel(), seed=seed)
    cells = simulate_cells(world, EpsilonGreedy(simulation.temperature), sessions=simulation.sessions, seed=seed)
    weights = list_weights(cells, world.list_lengths)
    if embedding:
        return TrainInputs(cells, weights, None, None)
    return TrainInputs(cells, weights, data.features, Inputs(tuple(f"f{i}" for i in range(data.features.shape[1]))))
