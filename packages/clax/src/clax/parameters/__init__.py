"""Parameters: what a model's probabilities are made from."""

from __future__ import annotations

from clax.parameters.base import (
    Parameter,
    Params,
    check_features,
    check_parameter,
    check_range,
    parameter_penalty,
)
from clax.parameters.compressed import HashedTable, QRTable
from clax.parameters.flax_adapter import FlaxParam, FunctionParam
from clax.parameters.networks import MLP, DeepCross, Linear, Sum
from clax.parameters.priors import L2, Prior, PseudoCounts
from clax.parameters.table import (
    BrowsingTable,
    ColumnTable,
    GlobalParam,
    PairPositionTable,
    PositionParam,
    Table,
    Tabular,
    row_probabilities,
)

__all__ = [
    "L2",
    "MLP",
    "BrowsingTable",
    "ColumnTable",
    "DeepCross",
    "FlaxParam",
    "FunctionParam",
    "GlobalParam",
    "HashedTable",
    "Linear",
    "PairPositionTable",
    "Parameter",
    "Params",
    "PositionParam",
    "Prior",
    "PseudoCounts",
    "QRTable",
    "Sum",
    "Table",
    "Tabular",
    "check_features",
    "check_parameter",
    "check_range",
    "parameter_penalty",
    "row_probabilities",
]
