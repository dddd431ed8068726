"""Click models in JAX: gradient-trained, or fitted by EM and counting.

Names are loaded when they are first used, so that the command line can start without JAX.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("clax")

_MODULES = {
    "aggregation": ["aggregate"],
    "batch": ["Batch", "batches", "make_batch", "pad_batch"],
    "checkpoint": ["SavedModel", "load_model", "load_state", "save_model", "save_state"],
    "comparison": ["Compared", "compare"],
    "config": ["FitConfig", "read_config"],
    "data": [
        "Columns", "HashedPairs", "LongColumns", "SessionData", "Vocabulary", "YandexLog", "convert", "read_frame",
    ],
    "diagnostics": ["Diagnosis", "Recovery", "diagnose", "recovery"],
    "em": ["EMResult", "count_estimates", "fit_em"],
    "evaluation": ["Evaluation", "evaluate"],
    "facade": ["ClickModel"],
    "fit_result": ["Epoch", "FitResult", "TrainConfig", "TrainState"],
    "fitting": ["Fitted", "fit"],
    "models": [
        "CCM", "CM", "DBN", "DCM", "DCTR", "DRCTR", "GCTR", "MODEL_NAMES", "PBM", "RCTR", "SDBN", "UBM",
        "Mixture", "PairModel", "build_model",
    ],
    "parameters": [
        "L2", "MLP", "BrowsingTable", "ColumnTable", "DeepCross", "FlaxParam", "FunctionParam", "GlobalParam",
        "HashedTable", "Linear", "PairPositionTable", "PositionParam", "PseudoCounts", "QRTable", "Sum", "Table",
    ],
    "plots": ["plot_calibration", "plot_examination", "plot_perplexity"],
    "prediction": ["relevance_of_lists", "relevance_of_pairs"],
    "ranking": ["Ranking", "evaluate_ranking"],
    "simulation": ["World", "make_world"],
    "standard_errors": ["Propensities", "propensities"],
    "training": ["train"],
}  # fmt: skip
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Imports the module that holds a public name."""
    if name not in _HOME:
        raise AttributeError(f"module 'clax' has no attribute {name!r}")
    return getattr(import_module(f"clax.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
