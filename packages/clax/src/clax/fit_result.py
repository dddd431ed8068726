"""How to train, and what comes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from ir_shared.console import UserError

from clax.losses import Reduction
from clax.parameters import Params

__all__ = ["Epoch", "FitResult", "TrainConfig", "TrainState"]


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        lr: learning rate of AdamW.
        weight_decay: of AdamW. It pulls weights towards 0 whether or not a batch holds them.
        optimizer: any optax optimiser instead of AdamW.
        epochs: at most so many passes.
        patience: stop when the validation loss has not improved for more than so many epochs in a row.
        min_delta: what counts as an improvement when patience is counted.
        reduction: see :data:`clax.losses.Reduction`.
        seed: of the initial weights.
        sparse: update only the looked-up rows of pair tables. Faster above about 3 million pairs, slower below; see
            :func:`clax.steps.sparse_step` for what differs.
    """

    lr: float = 3e-3
    weight_decay: float = 1e-4
    optimizer: Any = None
    epochs: int = 50
    patience: int = 0
    min_delta: float = 1e-5
    reduction: Reduction = "document"
    seed: int = 0
    sparse: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.patience < 0 or not self.lr > 0 or self.weight_decay < 0:
            figures = f"epochs {self.epochs}, patience {self.patience}, weight_decay {self.weight_decay}, lr {self.lr}"
            raise UserError(f"{figures}: must be at least 0, and lr above it")


@dataclass(frozen=True)
class Epoch:
    """One line of the history.

    Attributes:
        epoch: from 1.
        train_loss: mean over the epoch, while the weights moved; without the prior.
        valid_loss: after the epoch; None without validation data.
        improved: whether these are the best weights so far.
    """

    epoch: int
    train_loss: float
    valid_loss: float | None
    improved: bool


@dataclass(frozen=True)
class TrainState:
    """All that a run needs to go on: save it after an epoch, pass it to :func:`train` later.

    Attributes:
        params: current weights.
        opt_state: the optimiser's state.
        best_params: the weights to return.
        best_loss: their validation loss; infinite before the first epoch.
        reference: the loss that patience compares with.
        waited: epochs without an improvement.
        history: the epochs so far.
    """

    params: Params
    opt_state: Any
    best_params: Params
    best_loss: float = math.inf
    reference: float = math.inf
    waited: int = 0
    history: tuple[Epoch, ...] = ()


@dataclass(frozen=True)
class FitResult:
    """What came out.

    Attributes:
        params: the best weights by validation loss; without validation data, the last.
        history: one entry per epoch.
        best_epoch: where the weights are from; 0 = the initial ones.
        best_loss: their validation loss; None without validation data.
        stopped: why: all epochs done, patience lost, or a loss that was not finite.
        state: to go on from; after a loss that was not finite, a fresh start at the best weights.
    """

    params: Params
    history: tuple[Epoch, ...]
    best_epoch: int
    best_loss: float | None
    stopped: Literal["epochs", "patience", "not finite"]
    state: TrainState

    def to_json(self) -> dict[str, Any]:
        """All but the weights."""
        history = [vars(epoch) for epoch in self.history]
        return {
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "stopped": self.stopped,
            "history": history,
        }
