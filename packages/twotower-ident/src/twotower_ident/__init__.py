"""Can this click log identify this two-tower model, and what to do about it.

Start with :class:`ClickLog` and :func:`audit`; estimate with :func:`conditional_position_bias`; weigh with
:func:`placement_weights`; fit with :func:`fit_exact`. Names are loaded when they are first used, so that the command
line starts without JAX, SciPy or scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

_MODULES = {
    "adapters": ["SqlLog", "duckdb_log", "spark_log"],
    "audit_report": ["AuditReport"],
    "cells": ["CellTable"],
    "click_log": ["ClickLog"],
    "conditional_bias": ["PositionBias", "conditional_position_bias"],
    "exact_fit": ["ExactFit", "fit_exact"],
    "experiments": ["EXPERIMENTS", "Experiment"],
    "features": ["PairFeatures", "log_features", "table_features"],
    "intervention_harvesting": ["harvested_position_bias"],
    "letor": ["RankingData", "prepare", "read_letor"],
    "linear_design": ["LinearOverlap", "linear_overlap"],
    "log_audit": ["audit"],
    "log_source": ["LogColumns"],
    "misfit": ["calibration", "residual_map", "residual_placement_correlation"],
    "model_check": ["ModelCheck", "check_model"],
    "overlap": ["ClassifierOverlap", "classifier_overlap"],
    "overlap_range": ["FeatureOverlap", "feature_overlap"],
    "placement": ["PlacementWeights", "empirical_propensities", "modelled_propensities", "placement_weights"],
    "policies": ["EpsilonGreedy", "ExpertPolicy", "Gumbel", "LearnedPolicy", "PivotSwap"],
    "ranking_metrics": ["mrr", "ndcg"],
    "simulate": ["ClickWorld", "expected_cells", "make_world", "simulate_cells", "simulate_sessions"],
    "tower_bias": ["tower_position_bias"],
    "towers": ["Deep", "Embedding", "FittedModel", "Linear", "TwoTower"],
    "training": ["TrainConfig", "TrainingData", "train"],
    "user_models": ["SyntheticLabels", "UserModel"],
    "weighting_test": ["WeightTest", "weight_test"],
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__version__ = version("twotower-ident")
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Imports the module that holds a public name."""
    if name not in _HOME:
        raise AttributeError(f"module 'twotower_ident' has no attribute {name!r}")
    return getattr(import_module(f"twotower_ident.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
