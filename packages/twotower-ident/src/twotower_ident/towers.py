"""What a two-tower model is made of, as plain data, and the scores of a fitted one in numpy.

A fitted model scores documents without JAX; only training needs the extra ``deep``.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ir_shared.console import UserError
from ir_shared.run_dir import atomic_write, read_json, write_json
from jaxtyping import Float64

from twotower_ident.cells import CellTable, FloatArray
from twotower_ident.exact_fit import ExactFit
from twotower_ident.jsonable import plain

__all__ = ["Deep", "Embedding", "FittedModel", "Inputs", "Linear", "Tower", "TwoTower"]


@dataclass(frozen=True)
class Embedding:
    """One parameter for each pair of the log."""

    kind = "embedding"


@dataclass(frozen=True)
class Linear:
    """xᵀw without intercept: the bias tower holds the level."""

    kind = "linear"


@dataclass(frozen=True)
class Deep:
    """ELU layers and a linear head with intercept.

    Attributes:
        layers: hidden layers.
        width: units of each.
        dropout: share of hidden units left out in training.
    """

    kind = "deep"
    layers: int = 2
    width: int = 32
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.layers < 1 or self.width < 1 or not 0 <= self.dropout < 1:
            raise UserError(f"{self}: give at least one layer and unit, and a dropout in [0, 1)")


Tower = Embedding | Linear | Deep


@dataclass(frozen=True)
class TwoTower:
    """An additive two-tower model, or one of the baselines.

    Attributes:
        tower: the relevance tower.
        bias: whether there is a bias tower; without one this is the naive model.
        bias_dropout: rate at which the bias logit is left out of an impression in training.
        gradient_reversal: λ; a head predicts the bias logit from the relevance tower's last hidden layer, and its
            reversed gradient, times λ, keeps that layer from knowing it. 0 for none.
        normal_positions: start the position parameters at N(0, 1), as the paper's code does, and not at 0.
    """

    tower: Tower
    bias: bool = True
    bias_dropout: float = 0.0
    gradient_reversal: float = 0.0
    normal_positions: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.bias_dropout < 1 or self.gradient_reversal < 0:
            raise UserError("bias dropout lies in [0, 1), and gradient reversal is 0 or more")
        if not self.bias and (self.bias_dropout or self.gradient_reversal):
            raise UserError("a model without a bias tower has no bias to drop out or to reverse; leave those at 0")


@dataclass(frozen=True)
class Inputs:
    """What a tower reads.

    Attributes:
        names: the feature columns, in order; column i of LETOR text, counted from 0, is ``f<i>``.
    """

    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A model that can rank.

    Attributes:
        model: what was trained.
        position_bias: θ_k − θ_reference, shape [K]; ``nan`` and ``±inf`` as in :class:`~twotower_ident.ExactFit`.
        parameters: of the relevance tower, by name.
        inputs: how features were made; None for an embedding tower.
        level: θ_reference, which click probabilities need and ranking does not.
        merge: first position of each group, where the log that it was trained on merges positions.
    """

    model: TwoTower
    position_bias: Float64[FloatArray, " positions"]
    parameters: dict[str, FloatArray] = field(repr=False)
    inputs: Inputs | None = None
    level: float = 0.0
    merge: tuple[int, ...] = ()

    def click_logits(self, cells: CellTable, relevance: Float64[FloatArray, " pairs"]) -> Float64[FloatArray, " cells"]:
        """θ + γ of each cell, shape [C], from the scores of its pairs [P]."""
        logits: FloatArray = self.level + self.position_bias[cells.index] + relevance[cells.pair]
        return logits

    @classmethod
    def from_exact(cls, fit: ExactFit, inputs: Inputs | None = None) -> FittedModel:
        """The model of an exact fit."""
        if fit.linear is None:
            return cls(TwoTower(Embedding()), fit.position_bias, {"table": fit.relevance}, None)
        level = float(fit.linear.position[fit.reference - 1])
        return cls(TwoTower(Linear()), fit.position_bias, {"kernel": fit.linear.weights}, inputs, level)

    def score(self, features: FloatArray | None = None) -> Float64[FloatArray, " documents"]:
        """Relevance scores; the bias tower has no part in them.

        Args:
            features: a tower's inputs, shape [N, F]; None for an embedding tower, which knows its own pairs only.

        Returns:
            Shape [N], or [P] for an embedding tower.

        Raises:
            UserError: features for an embedding tower, none for another, or a wrong number of them.
        """
        if isinstance(self.model.tower, Embedding):
            if features is not None:
                raise UserError("an embedding tower cannot score new pairs; train a linear or deep tower on features")
            return self.parameters["table"]
        if features is None:
            raise UserError(f"a {self.model.tower.kind} tower scores features; give them")
        expected = len(next(iter(self.parameters.values())))
        if features.shape[1] != expected:
            raise UserError(f"the features have {features.shape[1]} columns, the model has {expected} inputs")
        if isinstance(self.model.tower, Linear):
            return np.asarray(features @ self.parameters["kernel"]).reshape(len(features))
        hidden = features
        for layer in range(self.model.tower.layers):
            hidden = hidden @ self.parameters[f"kernel_{layer}"] + self.parameters[f"bias_{layer}"]
            hidden = np.where(hidden > 0, hidden, np.expm1(np.minimum(hidden, 0)))
        head: FloatArray = hidden @ self.parameters["kernel_head"] + self.parameters["bias_head"]
        return head.reshape(len(features))

    def save(self, folder: str | Path) -> None:
        """Writes ``model.json`` and ``parameters.npz``, which a base install can read."""
        folder = Path(folder)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **self.parameters)
        atomic_write(folder / "parameters.npz", buffer.getvalue())
        tower = {"kind": self.model.tower.kind, **asdict(self.model.tower)}
        settings = {**asdict(self.model), "tower": tower}
        inputs = None if self.inputs is None else asdict(self.inputs)
        shown = {"model": settings, "inputs": inputs, "position_bias": self.position_bias, "level": self.level}
        write_json(folder / "model.json", plain({**shown, "merge": self.merge}))

    @classmethod
    def load(cls, folder: str | Path) -> FittedModel:
        """Reads what :meth:`save` wrote.

        Raises:
            UserError: the folder holds no such model.
        """
        folder = Path(folder)
        found = read_json(folder / "model.json")
        try:
            tower = dict(found["model"]["tower"])
            kind = {"embedding": Embedding, "linear": Linear, "deep": Deep}[tower.pop("kind")]
            settings: dict[str, Any] = {**found["model"], "tower": kind(**tower)}
            with np.load(folder / "parameters.npz", allow_pickle=False) as arrays:
                parameters = {name: arrays[name] for name in arrays.files}
            bias = np.array([np.nan if value is None else float(value) for value in found["position_bias"]])
            inputs = None
            if found["inputs"] is not None:
                inputs = Inputs(tuple(found["inputs"]["names"]))
            return cls(TwoTower(**settings), bias, parameters, inputs, found["level"], tuple(found["merge"]))
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise UserError(f"{folder}: holds no model that can be read ({error}); write one with train") from error
