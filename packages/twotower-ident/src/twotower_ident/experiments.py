"""The paper's seven experiments as data, and what runs one setting of one of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from ir_shared.console import DataWarning

from twotower_ident.exact_fit import fit_exact, list_weights, mean_nll
from twotower_ident.placement import empirical_propensities
from twotower_ident.policies import EpsilonGreedy, ExpertPolicy, LearnedPolicy
from twotower_ident.ranking_metrics import curve_error, mrr, ndcg
from twotower_ident.simulate import ClickWorld, expected_cells, make_world, simulate_cells
from twotower_ident.splits import Splits
from twotower_ident.towers import Deep, Embedding, FittedModel, Linear, Tower, TwoTower
from twotower_ident.training import TrainConfig, TrainingData, train
from twotower_ident.user_models import LabelKind, SyntheticLabels, UserModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from twotower_ident.cells import CellTable
    from twotower_ident.letor import RankingData

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "Protocol",
    "SeededData",
    "Setting",
    "ranking_figures",
    "run_setting",
    "seeded_data",
    "settings",
]

PolicyKind = Literal["expert", "linear", "deep"]
_ENDS = (1.0, 0.0, -1.0)


@dataclass(frozen=True)
class Experiment:
    """One experiment of the paper.

    Attributes:
        name: as the paper's code calls it.
        labels: whose labels the users go by.
        policies: which logging policies are compared.
        tower: the relevance tower.
        columns: features that the tower sees; the policy sees all.
        weighted: whether it is also run with placement weights.
        strengths: α.
        temperatures: τ.
        sessions: of the train, validation and test logs.
        same_pairs: whether all three logs are simulated on the training documents, and evaluated there.
    """

    name: str
    labels: LabelKind
    policies: tuple[PolicyKind, ...]
    tower: Tower
    columns: str = "all"
    weighted: bool = False
    strengths: tuple[float, ...] = _ENDS
    temperatures: tuple[float, ...] = (0.0, 1 / 3, 2 / 3, 1.0)
    sessions: tuple[int, int, int] = (1_000_000, 500_000, 500_000)
    same_pairs: bool = False


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "1-example",
            "original",
            ("expert", "deep"),
            Deep(),
            strengths=(1.0, 2 / 3, 1 / 3, 0.0, -1 / 3, -2 / 3, -1.0),
            sessions=(2_500_000, 1_000_000, 1_000_000),
        ),
        Experiment("2-model-fit-linear", "linear", ("linear",), Linear()),
        Experiment("2-model-fit-deep", "deep", ("deep",), Deep()),
        Experiment("2-model-fit-embedding", "original", ("expert",), Embedding(), same_pairs=True),
        Experiment("3-misfit-linear", "deep", ("deep",), Linear(), weighted=True),
        Experiment("3-omitted-features", "deep", ("deep",), Deep(), columns="0-99", weighted=True),
        Experiment("3-expert-policy", "original", ("expert",), Deep(), weighted=True),
    )
}
"""By name."""


@dataclass(frozen=True)
class Protocol:
    """How experiments are run.

    Attributes:
        official: as the paper's code does it: ties of nDCG by index, synthetic labels cut split by split with padding,
            position parameters that start at N(0, 1), gradient descent for every tower. Otherwise: expected ties, one
            label function for all splits, exact fits where the likelihood is concave.
        population: expected cells instead of sampled ones.
        sessions: of the training log, the others in proportion; the experiment's own where None.
        config: how towers are trained by gradient descent.
        bias_strength: of the users.
    """

    official: bool = False
    population: bool = False
    sessions: int | None = None
    config: TrainConfig | None = None
    bias_strength: float = 1.0


@dataclass(frozen=True)
class Setting:
    """One cell of an experiment's grid; compare settings within a seed, for a seed draws its own users."""

    policy: PolicyKind
    strength: float
    temperature: float
    seed: int
    weighted: bool


@dataclass(frozen=True, eq=False)
class SeededData:
    """What all settings of one seed share.

    Attributes:
        splits: documents with the labels that users go by.
        policies: at full strength, by kind.
    """

    splits: Splits
    policies: dict[PolicyKind, ExpertPolicy | LearnedPolicy]


def seeded_data(experiment: Experiment, splits: Splits, seed: int, protocol: Protocol) -> SeededData:
    """Draws a seed's users and trains its logging policies.

    Args:
        experiment: which; see :data:`EXPERIMENTS`.
        splits: documents, prepared, with all features and their original labels.
        seed: of users and policies.
        protocol: how.
    """
    labelled = splits
    if experiment.labels != "original":
        width = splits.train.features.shape[1]
        labelled = splits.labelled(SyntheticLabels(experiment.labels, width, seed=seed, official=protocol.official))
    policies: dict[PolicyKind, ExpertPolicy | LearnedPolicy] = {}
    for kind in experiment.policies:
        policies[kind] = ExpertPolicy() if kind == "expert" else LearnedPolicy.fit(labelled.train, kind, seed=seed)
    return SeededData(labelled, policies)


def settings(experiment: Experiment, seeds: tuple[int, ...]) -> Iterator[Setting]:
    """The grid of an experiment, seed by seed."""
    for seed in seeds:
        for policy in experiment.policies:
            for strength in experiment.strengths:
                for temperature in experiment.temperatures:
                    for weighted in (False, True) if experiment.weighted else (False,):
                        yield Setting(policy, strength, temperature, seed, weighted)


def run_setting(experiment: Experiment, seeded: SeededData, setting: Setting, protocol: Protocol) -> dict[str, Any]:
    """Simulates, fits and evaluates one setting.

    Args:
        experiment: which; see :data:`EXPERIMENTS`.
        seeded: :func:`seeded_data` of the setting's seed.
        setting: policy, α, τ, seed, with or without weights.
        protocol: how.

    Returns:
        A row: the setting; ``ndcg``, ``ndcg@3``, ``ndcg@5``, ``ndcg@10``, ``mrr@10`` of the relevance tower on test
        labels; ``nll`` of test clicks per impression and ``loss``, the same with the weights that are on; ``curve``
        (θ_k − θ_1) and ``curve_error``, its mean squared error. Measures of what is unidentified are None.
    """
    policy = replace(seeded.policies[setting.policy], strength=setting.strength)
    splits = seeded.splits
    parts = [splits.train] * 3 if experiment.same_pairs else [splits.train, splits.validation, splits.test]
    logs = [_log(experiment, part, policy, setting, protocol, number) for number, part in enumerate(parts)]
    inputs = [part.with_columns(experiment.columns).features for part in parts]
    fitted = _fit(experiment, logs, inputs, setting, protocol)
    relevance = fitted.score(None if isinstance(experiment.tower, Embedding) else inputs[2])
    return {
        "experiment": experiment.name,
        "policy": setting.policy,
        "strength": setting.strength,
        "temperature": setting.temperature,
        "seed": setting.seed,
        "weighted": setting.weighted,
        **ranking_figures(relevance, parts[2], protocol),
        **_clicks(fitted, logs[2], relevance, setting),
        "curve": fitted.position_bias.tolist(),
    }


@dataclass(frozen=True, eq=False)
class _Log:
    """A simulated log; the weights average over a session's documents first."""

    world: ClickWorld
    cells: CellTable

    def weights(self, weighted: bool) -> NDArray[np.float64]:
        per_session = list_weights(self.cells, self.world.list_lengths)
        return per_session / empirical_propensities(self.cells) if weighted else per_session


def _log(
    experiment: Experiment,
    data: RankingData,
    policy: ExpertPolicy | LearnedPolicy,
    setting: Setting,
    protocol: Protocol,
    number: int,
) -> _Log:
    # The three logs of one set of documents share their fixed order, or the test would be of another policy.
    order_seed = setting.seed * 3 + (0 if experiment.same_pairs else number)
    world = make_world(data, policy, UserModel(protocol.bias_strength), seed=order_seed)
    sampler = EpsilonGreedy(setting.temperature)
    sessions = experiment.sessions[number]
    if protocol.sessions is not None:
        sessions = max(1, round(protocol.sessions * sessions / experiment.sessions[0]))
    if protocol.population:
        return _Log(world, expected_cells(world, sampler))
    return _Log(world, simulate_cells(world, sampler, sessions=sessions, seed=setting.seed * 3 + number))


def _fit(
    experiment: Experiment,
    logs: list[_Log],
    inputs: list[NDArray[np.float64]],
    setting: Setting,
    protocol: Protocol,
) -> FittedModel:
    tower = experiment.tower
    if not isinstance(tower, Deep) and not protocol.official:
        kind: Literal["embedding", "linear"] = "linear" if isinstance(tower, Linear) else "embedding"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            fit = fit_exact(logs[0].cells, kind, features=inputs[0], weights=logs[0].weights(setting.weighted))
        return FittedModel.from_exact(fit)
    data, validation = (
        TrainingData(log.cells, None if isinstance(tower, Embedding) else features, log.weights(setting.weighted))
        for log, features in zip(logs[:2], inputs[:2], strict=True)
    )
    config = replace(protocol.config or TrainConfig(), seed=setting.seed)
    model = TwoTower(tower, normal_positions=protocol.official)
    return train(model, data, validation, config).finished()


def ranking_figures(relevance: NDArray[np.float64], data: RankingData, protocol: Protocol) -> dict[str, float | None]:
    """nDCG, nDCG@3, @5, @10 and MRR@10 of scores [N] under the protocol's tie rule; None where one is undetermined."""
    names = {"ndcg": None, "ndcg@3": 3, "ndcg@5": 5, "ndcg@10": 10}
    if np.isnan(relevance).any():
        return dict.fromkeys((*names, "mrr@10"))
    ties: Literal["index", "expected"] = "index" if protocol.official else "expected"
    given = relevance, data.labels, data.offsets
    found: dict[str, float | None] = {name: float(ndcg(*given, k=k, ties=ties).mean()) for name, k in names.items()}
    return {**found, "mrr@10": float(mrr(*given, k=10, ties=ties).mean())}


def _clicks(
    fitted: FittedModel, log: _Log, relevance: NDArray[np.float64], setting: Setting
) -> dict[str, float | None]:
    cells = log.cells
    truth = log.world.position_bias
    known = np.isfinite(fitted.position_bias).all()
    error = curve_error(fitted.position_bias, truth[: len(fitted.position_bias)]) if known else None
    logits = fitted.click_logits(cells, relevance)
    if np.isnan(logits).any():
        return {"nll": None, "loss": None, "curve_error": error}
    per_session, weights = log.weights(False), log.weights(setting.weighted)
    plain = mean_nll(cells.impressions * per_session, cells.clicks * per_session, logits)
    loss = mean_nll(cells.impressions * weights, cells.clicks * weights, logits)
    ratio = float((cells.impressions @ weights) / (cells.impressions @ per_session))
    return {"nll": plain, "loss": loss * ratio, "curve_error": error}
