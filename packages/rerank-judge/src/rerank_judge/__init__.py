"""Turn any re-ranker into a relevance judge, with a defensible threshold.

Start with :class:`Collection` (human judgements and runs), bring a judge's scores to it with :func:`align_scores`, and
ask :func:`agree`, :func:`select_threshold`, :func:`leaderboard` and :func:`correlate`.
"""

from importlib.metadata import version

from rerank_judge.agreement import Agreement, Confusion, agree, compare_kappa, confusion, kappa_interval, topic_counts
from rerank_judge.bias import BiasReport, bias_report
from rerank_judge.calibration import Selection, read_calibration, select_threshold, target_values, write_calibration
from rerank_judge.coefficients import Coefficient, coefficient, rater_alpha
from rerank_judge.collection import Collection
from rerank_judge.crossval import CrossValidation, cross_validate, leave_one_out
from rerank_judge.families import Families
from rerank_judge.grids import ThresholdGrid
from rerank_judge.judged import JudgedCollection, align_judge
from rerank_judge.judged_pool import judged_pool
from rerank_judge.kappa_curve import KappaCurve, kappa_at, kappa_curve
from rerank_judge.labeling import (
    Coverage,
    LabelSet,
    ScoreSet,
    align_labels,
    align_scores,
    direct,
    human_labels,
    threshold,
)
from rerank_judge.leaderboard import Board, leaderboard
from rerank_judge.metrics import Metric
from rerank_judge.ordering import (
    Correlation,
    compare_judges,
    correlate,
    rbo,
    rho,
    tau_ap,
    tau_b,
    tau_b_many,
    tau_interval,
)
from rerank_judge.panels import leave_family_out_board, majority, mean_log_odds
from rerank_judge.scorers import Pair, PairScorer, ScoredPair, load_scorer
from rerank_judge.study import run_study
from rerank_judge.study_config import StudyConfig
from rerank_judge.sweep import sweep
from rerank_judge.toy import toy_collection, toy_text
from rerank_judge.transfer import Transferred, direct_value, transfer, value_at
from rerank_judge.transfer_table import TransferTable, transfer_table

__version__ = version("rerank-judge")
__all__ = [
    "Agreement",
    "BiasReport",
    "Board",
    "Coefficient",
    "Collection",
    "Confusion",
    "Correlation",
    "Coverage",
    "CrossValidation",
    "Families",
    "JudgedCollection",
    "KappaCurve",
    "LabelSet",
    "Metric",
    "Pair",
    "PairScorer",
    "ScoreSet",
    "ScoredPair",
    "Selection",
    "StudyConfig",
    "ThresholdGrid",
    "TransferTable",
    "Transferred",
    "agree",
    "align_judge",
    "align_labels",
    "align_scores",
    "bias_report",
    "coefficient",
    "compare_judges",
    "compare_kappa",
    "confusion",
    "correlate",
    "cross_validate",
    "direct",
    "direct_value",
    "human_labels",
    "judged_pool",
    "kappa_at",
    "kappa_curve",
    "kappa_interval",
    "leaderboard",
    "leave_family_out_board",
    "leave_one_out",
    "load_scorer",
    "majority",
    "mean_log_odds",
    "rater_alpha",
    "rbo",
    "read_calibration",
    "rho",
    "run_study",
    "select_threshold",
    "sweep",
    "target_values",
    "tau_ap",
    "tau_b",
    "tau_b_many",
    "tau_interval",
    "threshold",
    "topic_counts",
    "toy_collection",
    "toy_text",
    "transfer",
    "transfer_table",
    "value_at",
    "write_calibration",
]
