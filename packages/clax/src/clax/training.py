"""Training by gradient: any model, any optax optimiser, any re-iterable of batches; the best weights come back.

``train(model, data, valid)`` is the whole interface. A run can be stopped after any epoch and resumed from its
:class:`TrainState` to the same bytes.
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from ir_shared.console import DataWarning, UserError

from clax.batch import Batch
from clax.fit_result import Epoch, FitResult, TrainConfig, TrainState
from clax.models.base import ClickModel
from clax.parameters import Params
from clax.screening import Screening
from clax.sharding import Placement, place, total_over_hosts
from clax.steps import adamw, dense_step, initialiser, refuse_sparse, sparse_step, validation_terms

__all__ = ["train"]

_LAG = 4
"""Losses are read so many steps late: reading one waits for its step, and the device should not idle meanwhile."""


class _NotFinite(Exception):  # noqa: N818 - an outcome, not a mistake
    """The loss of a step is NaN or infinite; the argument is the step."""


def train(
    model: ClickModel,
    data: Iterable[Batch],
    valid: Iterable[Batch] | None = None,
    config: TrainConfig | None = None,
    *,
    params: Params | None = None,
    state: TrainState | None = None,
    on_epoch: Callable[[TrainState], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> FitResult:
    """Descends the loss over re-iterable data until the validation loss stops improving.

    Runs on all devices there are, with the batch split between them; see :mod:`clax.sharding`.

    Args:
        model: any model.
        data: training batches of one shape; ``set_epoch`` is called before each epoch if there is one.
        valid: validation batches, for early stopping and the choice of the weights.
        config: how.
        params: initial weights, instead of fresh ones (they stay valid).
        state: of an earlier run to go on from.
        on_epoch: called after each epoch with all that a resumed run needs; its arrays may be overwritten once the call
            has returned.
        on_step: called after each step with the epoch and the step, both from 1.

    Returns:
        The weights and the history. A loss that is not finite ends the run with a warning and the best weights so far.

    Raises:
        UserError: there is no data, or a batch does not fit the model.
    """
    config = config or TrainConfig()
    run = _Run(model, config, place())
    current = run.start(params) if state is None else run.resume(state)
    scale = _prior_scale(model, current.params, data, config)
    stopped: Literal["epochs", "patience", "not finite"]
    while len(current.history) < config.epochs and current.waited <= config.patience:
        epoch = len(current.history) + 1
        try:
            current = run.epoch(current, epoch, data, valid, scale, on_step)
        except _NotFinite as bad:
            stopped = "not finite"
            current = run.restart(current)
            warnings.warn(
                f"the loss is not finite in epoch {epoch}, step {bad}; training stopped, the best weights so far are "
                "kept; lower the learning rate",
                DataWarning,
                stacklevel=2,
            )
            break
        if on_epoch is not None:
            on_epoch(current)
    else:
        stopped = "patience" if current.waited > config.patience else "epochs"
    best = max((e.epoch for e in current.history if e.improved), default=0)
    found = None if valid is None or not best else current.best_loss
    return FitResult(current.best_params, current.history, best, found, stopped, current)


class _Run:
    """The compiled parts of one call of :func:`train`."""

    def __init__(self, model: ClickModel, config: TrainConfig, placement: Placement) -> None:
        _check_hashable(model)
        self.model, self.placement = model, placement
        self.config = config
        self.optimizer = config.optimizer or adamw(config.lr, config.weight_decay)
        make = sparse_step if config.sparse else dense_step
        self.step = make(model, self.optimizer, config.reduction)
        if config.sparse:
            refuse_sparse(model)
        self.terms = validation_terms(model, config.reduction)

    def start(self, params: Params | None) -> TrainState:
        if params is None:
            params = initialiser(self.model)(jax.random.key(self.config.seed))
        params = self.placement.replicated(params)
        return TrainState(params, self.placement.replicated(self.optimizer.init(params)), _copy(params))

    def restart(self, state: TrainState) -> TrainState:
        """A fresh start at the best weights: the current ones are spoilt."""
        fresh = self.start(state.best_params)
        return replace(state, params=fresh.params, opt_state=fresh.opt_state)

    def resume(self, state: TrainState) -> TrainState:
        return replace(
            state,
            params=self.placement.replicated(state.params),
            opt_state=self.placement.replicated(state.opt_state),
            best_params=self.placement.replicated(state.best_params),
        )

    def epoch(
        self,
        state: TrainState,
        epoch: int,
        data: Iterable[Batch],
        valid: Iterable[Batch] | None,
        prior_scale: float,
        on_step: Callable[[int, int], None] | None,
    ) -> TrainState:
        """One pass and one validation; the steps consume the state's current arrays, but not its best weights."""
        if hasattr(data, "set_epoch"):
            data.set_epoch(epoch)
        screening = Screening(self.model) if epoch == 1 else None
        params, opt_state = state.params, state.opt_state
        total, scale = _Mean(), jnp.asarray(prior_scale)
        for number, batch in enumerate(data, start=1):
            self.model.check(batch)
            if screening is not None:
                screening.see(batch)
            params, opt_state, terms = self.step(params, opt_state, self.placement.split(batch), scale)
            total.add(terms)
            if on_step is not None:
                on_step(epoch, number)
        if screening is not None:
            screening.report()
        train_loss = total.value("training")
        valid_loss = None if valid is None else self._validate(params, valid)
        if valid is None and not all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(params)):
            raise _NotFinite(number)
        return _advance(state, params, opt_state, Epoch(epoch, train_loss, valid_loss, improved=False), self.config)

    def _validate(self, params: Params, valid: Iterable[Batch]) -> float:
        total = _Mean()
        for batch in valid:
            self.model.check(batch)
            total.add(self.terms(params, self.placement.split(batch)))
        return total.value("validation")


class _Mean:
    """A mean of batches' (sum, weight), in float64 on the host, that reads a few steps late and refuses NaN."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Any, Any]] = deque()
        self._sum = self._weight = 0.0
        self._read = 0

    def add(self, terms: tuple[Any, Any]) -> None:
        self._waiting.append(terms)
        if len(self._waiting) > _LAG:
            self._take()

    def value(self, what: str) -> float:
        while self._waiting:
            self._take()
        if self._weight == 0:
            why = "holds no session with a valid rank, or is a generator, which cannot be read twice"
            raise UserError(f"the {what} data {why}")
        return self._sum / self._weight

    def _take(self) -> None:
        total, weight = (float(x) for x in self._waiting.popleft())
        self._read += 1
        if not math.isfinite(total):
            raise _NotFinite(self._read)
        self._sum += total
        self._weight += weight


def _check_hashable(model: ClickModel) -> None:
    try:
        hash(model)
    except TypeError as error:
        raise UserError(
            f"{model.name}: {error}; make models and parameters frozen dataclasses of fixed values"
        ) from error


def _advance(state: TrainState, params: Params, opt_state: Any, epoch: Epoch, config: TrainConfig) -> TrainState:
    if epoch.valid_loss is None:
        history = (*state.history, replace(epoch, improved=True))
        return replace(state, params=params, opt_state=opt_state, best_params=_copy(params), history=history)
    improved = epoch.valid_loss < state.best_loss
    notable = epoch.valid_loss < state.reference - config.min_delta
    return TrainState(
        params,
        opt_state,
        best_params=_copy(params) if improved else state.best_params,
        best_loss=min(epoch.valid_loss, state.best_loss),
        reference=epoch.valid_loss if notable else state.reference,
        waited=0 if notable else state.waited + 1,
        history=(*state.history, replace(epoch, improved=improved)),
    )


def _prior_scale(model: ClickModel, params: Params, data: Iterable[Batch], config: TrainConfig) -> float:
    """1 / (weight of the whole training set, of all hosts), or 0 without a prior; counting may take a pass over it."""
    if float(model.penalty(params)) == 0.0:
        return 0.0
    if config.sparse:
        raise UserError("sparse updates leave rows outside the batch alone, so they cannot follow a prior; drop one")
    return 1.0 / max(total_over_hosts(_weight(data, config)), 1.0)


def _weight(data: Iterable[Batch], config: TrainConfig) -> float:
    if config.reduction == "document" and hasattr(data, "num_documents"):
        return float(data.num_documents)
    weight = 0.0
    for batch in data:
        mask = np.asarray(batch.mask)
        counts = mask if batch.weights is None else np.asarray(batch.weights) * mask
        weight += float(counts.sum() if config.reduction == "document" else mask.any(1).sum())
    return weight


def _copy(tree: Any) -> Any:
    """The same arrays in memory of their own: the next step gives the originals away."""
    return jax.tree.map(lambda x: jnp.array(x, copy=True), tree)
