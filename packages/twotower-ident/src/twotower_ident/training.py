"""Training towers by AdamW on aggregated cells, with early stopping that restores a copy of the best parameters.

A batch is some pairs with all their cells: the relevance tower sees a pair once, however many impressions it has, and
the loss is that of all its impressions. Needs the extra ``deep``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from ir_shared.console import UserError, missing_extra

from twotower_ident.interruption import interruptible
from twotower_ident.towers import Embedding, FittedModel, Inputs, TwoTower

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from twotower_ident.cells import CellTable

__all__ = ["TrainConfig", "TrainingData", "TrainingResult", "train"]

_MOST_CELLS = 1 << 29


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        learning_rate: of AdamW.
        weight_decay: on every parameter, the position parameters included.
        batch_pairs: pairs of a step.
        steps: steps of an epoch; pairs are drawn in shuffled sweeps.
        epochs: at most.
        min_delta: an epoch that lowers the validation loss by less counts as none.
        patience: such epochs in a row that are borne; one more ends the training.
        seed: of starting values, order and dropout.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    batch_pairs: int = 512
    steps: int = 1000
    epochs: int = 50
    min_delta: float = 1e-5
    patience: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.batch_pairs, self.steps, self.epochs) < 1:
            raise UserError("training: batch_pairs, steps and epochs are at least 1")


@dataclass(frozen=True, eq=False)
class TrainingData:
    """A log to train or validate on.

    Attributes:
        cells: impressions and clicks.
        features: of each pair, shape [P, F]; None for an embedding tower.
        weights: factor on each cell's impressions and clicks, shape [C].
    """

    cells: CellTable
    features: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained model and how it came about.

    Attributes:
        fitted: the model of the best epoch.
        history: training and validation loss of each epoch, per session.
        best_epoch: from 1; 0 if no epoch was finished.
        stopped: why: no improvement, the limit of epochs, a loss that is no number, or Ctrl-C.
        detail: one line for people.
    """

    fitted: FittedModel
    history: list[dict[str, float]]
    best_epoch: int
    stopped: Literal["early", "limit", "non-finite", "interrupted"]
    detail: str

    def finished(self) -> FittedModel:
        """The model, where the training is a step of something longer.

        Raises:
            KeyboardInterrupt: the training was interrupted, so the longer work must end as well.
        """
        if self.stopped == "interrupted":
            raise KeyboardInterrupt
        return self.fitted

    def to_json(self) -> dict[str, Any]:
        """Everything but the parameters."""
        return {
            "position_bias": self.fitted.position_bias,
            "history": self.history,
            "best_epoch": self.best_epoch,
            "stopped": self.stopped,
            "detail": self.detail,
        }


def train(
    model: TwoTower,
    data: TrainingData,
    validation: TrainingData,
    config: TrainConfig | None = None,
    *,
    inputs: Inputs | None = None,
    start: FittedModel | None = None,
    pinned: dict[int, float] | None = None,
    checkpoint: str | Path | None = None,
    on_epoch: Callable[[int, dict[str, float], Any], None] | None = None,
) -> TrainingResult:
    """Trains the towers until the validation loss no longer falls.

    Ctrl-C and a loss that is no number end the training and keep the best epoch.

    Args:
        model: the towers.
        data: the training log.
        validation: another log; for an embedding tower, of the same pairs.
        config: how to train.
        inputs: how the features were made, to be kept with the model.
        start: a fitted model of the same shape to begin at.
        pinned: position parameters that are held fast, by position from 1.
        checkpoint: a file that is written after every epoch, and gone on from if it is there.
        on_epoch: is told of every epoch: its number, its losses, its parameters.

    Raises:
        UserError: data that do not fit the model, or a checkpoint of another training.
    """
    if find_spec("flax") is None:
        raise missing_extra("twotower-ident", "deep", "training by gradient descent")
    from twotower_ident.epochs import Loop

    config = config or TrainConfig()
    for name, part in (("training", data), ("validation", validation)):
        _check(model, part, name)
    if validation.cells.n_positions > data.cells.n_positions:
        raise UserError("the validation log has positions that the training log lacks; leave them out")
    if isinstance(model.tower, Embedding) and validation.cells.n_pairs != data.cells.n_pairs:
        raise UserError("an embedding tower is validated on its own pairs; give a validation log of the same pairs")
    settings = {"model": asdict(model), "tower": model.tower.kind, "config": asdict(config), "pinned": pinned or {}}
    with interruptible() as pressed:
        loop = Loop(model, data, validation, config, pinned or {}, start)
        if pressed():
            raise KeyboardInterrupt
        return loop.run(inputs, Path(checkpoint) if checkpoint else None, settings, on_epoch, pressed)


def _check(model: TwoTower, data: TrainingData, name: str) -> None:
    cells = data.cells
    if cells.clicks.sum() <= 0:
        raise UserError(f"the {name} log holds no click; nothing can be trained")
    if cells.n_pairs * cells.n_positions > _MOST_CELLS:
        raise UserError(f"the {name} log has {cells.n_pairs} pairs x {cells.n_positions} positions; merge positions")
    if isinstance(model.tower, Embedding):
        return
    if data.features is None or data.features.ndim != 2 or len(data.features) != cells.n_pairs:
        raise UserError(f"the {name} log has {cells.n_pairs} pairs; give features for each of them")
    if not np.isfinite(data.features).all():
        raise UserError(f"the {name} features hold values that are no number; mend or drop them")
