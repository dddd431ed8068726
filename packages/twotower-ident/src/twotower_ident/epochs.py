"""The loop over epochs: compiled steps, early stopping on copied parameters, checkpoints. Importing it imports JAX."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from ir_shared.console import UserError
from ir_shared.run_dir import atomic_write, to_jsonable
from numpy.typing import NDArray

from twotower_ident.flax_towers import Batch, TwoTowerModule, export_relevance, import_model, model_loss
from twotower_ident.towers import Embedding, FittedModel, Inputs, TwoTower
from twotower_ident.training import TrainConfig, TrainingData, TrainingResult

__all__ = ["Loop", "dense_batch"]


class Loop:
    """One training: the towers, their optimiser, the data on the device.

    Args:
        model: the towers.
        data: the training log.
        validation: the log that decides when to stop.
        config: how to train.
        pinned: position parameters that are held fast, by position from 1.
        start: a model to begin at; None draws the parameters.
    """

    def __init__(
        self,
        model: TwoTower,
        data: TrainingData,
        validation: TrainingData,
        config: TrainConfig,
        pinned: dict[int, float],
        start: FittedModel | None,
    ) -> None:
        self.model, self.config = model, config
        k = data.cells.n_positions
        embedding = isinstance(model.tower, Embedding)
        self.train, self.sessions = dense_batch(data, k, embedding)
        self.validation, self.validation_sessions = dense_batch(validation, k, embedding)
        self.n_pairs = data.cells.n_pairs
        self.batch = min(config.batch_pairs, self.n_pairs)
        self.seen = data.cells.by_position(data.cells.impressions) > 0
        held, values = np.zeros(k, dtype=bool), np.zeros(k)
        for position, value in pinned.items():
            held[position - 1], values[position - 1] = True, value
        self.pins = jnp.asarray(held), jnp.asarray(values, dtype=self.train.clicks.dtype)
        size = self.n_pairs if embedding else self.train.inputs.shape[1]
        towers = TwoTowerModule(model, size, k, nnx.Rngs(config.seed))
        if start is not None:
            import_model(towers, start)
        self.graph, self.state = nnx.split(towers)
        self.moments = _optimiser(config).init(self.state)

    def run(
        self,
        inputs: Inputs | None,
        checkpoint: Path | None,
        settings: dict[str, Any],
        on_epoch: Callable[[int, dict[str, float], Any], None] | None,
        pressed: Callable[[], bool],
    ) -> TrainingResult:
        """Trains; see :func:`twotower_ident.training.train`."""
        progress = _Progress(_copied(self.state))
        if checkpoint is not None and checkpoint.exists():
            self._resume(checkpoint, settings, progress)
        stopped, detail = self._train(progress, checkpoint, settings, on_epoch, pressed)
        return TrainingResult(
            self._fitted(progress.best, inputs), progress.history, progress.best_epoch, stopped, detail
        )

    def _train(
        self,
        progress: _Progress,
        checkpoint: Path | None,
        settings: dict[str, Any],
        on_epoch: Callable[[int, dict[str, float], Any], None] | None,
        pressed: Callable[[], bool],
    ) -> tuple[Literal["early", "limit", "non-finite", "interrupted"], str]:
        """Runs epochs and says why it ended."""
        try:
            while progress.epoch < self.config.epochs:
                if progress.bad > self.config.patience:
                    return "early", f"no improvement since epoch {progress.best_epoch}"
                if (step := self._advance(progress)) is not None:
                    return "non-finite", f"the loss is no number at epoch {progress.epoch + 1}, step {step}"
                if checkpoint is not None:
                    self._write(checkpoint, settings, progress)
                if on_epoch is not None:
                    on_epoch(progress.epoch, progress.history[-1], self.state)
                if pressed():
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            return "interrupted", f"interrupted after epoch {progress.epoch}"
        return "limit", f"the limit of {self.config.epochs} epochs is reached"

    def _advance(self, progress: _Progress) -> int | None:
        """Runs one epoch; gives the step at which the loss is no number, else None."""
        rng = np.random.default_rng([self.config.seed, progress.epoch])
        needed = self.config.steps * self.batch
        order = np.concatenate([rng.permutation(self.n_pairs) for _ in range(-(-needed // self.n_pairs))])[:needed]
        key = jax.random.fold_in(jax.random.key(self.config.seed), progress.epoch)
        rows = jnp.asarray(order.reshape(self.config.steps, self.batch))
        scale = self.n_pairs / self.batch / self.sessions
        fixed = self.graph, self.model, replace(self.config, seed=0)  # the seed is no part of what is compiled
        state, moments, losses = _epoch(*fixed, self.state, self.moments, rows, key, self.train, self.pins, scale)
        value = float(_likelihood(*fixed[:2], state, self.validation, self.pins)) / self.validation_sessions
        finite = np.isfinite(np.asarray(losses))
        if not finite.all() or not np.isfinite(value):
            return int(np.argmin(finite)) + 1 if not finite.all() else self.config.steps
        self.state, self.moments = state, moments
        progress.add({"train": float(np.mean(losses)), "validation": value}, state, self.config.min_delta)
        return None

    def _fitted(self, state: Any, inputs: Inputs | None) -> FittedModel:
        towers = nnx.merge(self.graph, state)
        held, values = (np.asarray(part) for part in self.pins)
        position = np.where(held, values, np.array(towers.position[...], dtype=np.float64))
        reference = int(np.flatnonzero(self.seen)[0])
        if not self.model.bias:
            position = np.zeros(len(position))
        curve = np.where(self.seen, position - position[reference], np.nan)
        return FittedModel(self.model, curve, export_relevance(towers.relevance), inputs, float(position[reference]))

    def _write(self, path: Path, settings: dict[str, Any], progress: _Progress) -> None:
        from safetensors.numpy import save

        trees = {"state": self.state, "moments": self.moments, "best": progress.best}
        arrays = {name: value for part, tree in trees.items() for name, value in _named(part, tree).items()}
        facts = {"settings": settings, "progress": progress.facts()}
        atomic_write(path, save(arrays, metadata={"training": json.dumps(to_jsonable(facts))}))

    def _resume(self, path: Path, settings: dict[str, Any], progress: _Progress) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                facts = json.loads(file.metadata()["training"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: no checkpoint of a training ({error}); delete it or name another") from error
        if facts["settings"] != to_jsonable(settings):
            raise UserError(f"{path}: belongs to a training with other settings; delete it or name another")
        self.state = _restored("state", self.state, arrays, path)
        self.moments = _restored("moments", self.moments, arrays, path)
        progress.best = _restored("best", progress.best, arrays, path)
        progress.restore(facts["progress"])


@partial(jax.jit, static_argnums=(0, 1, 2))
def _epoch(
    graph: Any,
    model: TwoTower,
    config: TrainConfig,
    state: Any,
    moments: Any,
    rows: jax.Array,
    key: jax.Array,
    data: Batch,
    pins: tuple[jax.Array, jax.Array],
    scale: float,
) -> tuple[Any, Any, jax.Array]:
    """All steps of an epoch; compiled once for all trainings of one shape, whatever their data and pins."""
    optimiser = _optimiser(config)

    def loss(state: Any, batch: Batch, key: jax.Array) -> jax.Array:
        return scale * model_loss(nnx.merge(graph, state), model, batch, pins=pins, key=key)

    def step(carry: Any, given: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        state, moments = carry
        chosen, own_key = given
        batch = Batch(*(part[chosen] for part in data))
        value, gradient = jax.value_and_grad(loss)(state, batch, own_key)
        updates, moments = optimiser.update(gradient, moments, state)
        return (optax.apply_updates(state, updates), moments), value

    (state, moments), losses = jax.lax.scan(step, (state, moments), (rows, jax.random.split(key, len(rows))))
    return state, moments, losses


@partial(jax.jit, static_argnums=(0, 1))
def _likelihood(graph: Any, model: TwoTower, state: Any, data: Batch, pins: tuple[jax.Array, jax.Array]) -> jax.Array:
    return model_loss(nnx.merge(graph, state), model, data, pins=pins)


def _optimiser(config: TrainConfig) -> Any:
    return optax.adamw(config.learning_rate, weight_decay=config.weight_decay)


class _Progress:
    """Where a training stands, and the best that it has had."""

    def __init__(self, best: Any) -> None:
        self.best, self.best_loss, self.best_epoch = best, float("inf"), 0
        self.epoch, self.bad = 0, 0
        self.history: list[dict[str, float]] = []

    def add(self, losses: dict[str, float], state: Any, min_delta: float) -> None:
        self.epoch += 1
        self.history.append(losses)
        if self.best_loss - losses["validation"] > min_delta:
            self.best, self.best_loss, self.best_epoch, self.bad = _copied(state), losses["validation"], self.epoch, 0
        else:
            self.bad += 1

    def facts(self) -> dict[str, Any]:
        return {"best_epoch": self.best_epoch, "epoch": self.epoch, "bad": self.bad, "history": self.history}

    def restore(self, facts: dict[str, Any]) -> None:
        self.best_epoch, self.epoch, self.bad = facts["best_epoch"], facts["epoch"], facts["bad"]
        self.history = facts["history"]
        self.best_loss = self.history[self.best_epoch - 1]["validation"] if self.best_epoch else float("inf")


def dense_batch(data: TrainingData, n_positions: int, embedding: bool) -> tuple[Batch, float]:
    """All pairs of a log as one batch, and its number of sessions."""
    cells = data.cells
    weights = np.ones(cells.n_cells) if data.weights is None else data.weights
    inputs = np.arange(cells.n_pairs) if embedding else data.features
    return (
        Batch(
            jnp.asarray(inputs, dtype=jnp.int32 if embedding else jnp.asarray(0.0).dtype),
            jnp.asarray(_dense(cells.pair, cells.index, cells.impressions * weights, cells.n_pairs, n_positions)),
            jnp.asarray(_dense(cells.pair, cells.index, cells.clicks * weights, cells.n_pairs, n_positions)),
        ),
        float(cells.sessions()[np.unique(cells.pair_query[cells.pair])].sum()),
    )


def _dense(
    pair: NDArray[np.int64], index: NDArray[np.int64], values: NDArray[np.float64], n_pairs: int, n_positions: int
) -> NDArray[np.float64]:
    matrix = np.zeros((n_pairs, n_positions))
    matrix[pair, index] = values
    return matrix


def _copied(state: Any) -> Any:
    """A copy that later steps cannot reach: a module's own state aliases its live parameters."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)


def _named(part: str, tree: Any) -> dict[str, NDArray[Any]]:
    leaves = jax.tree.leaves(tree)
    return {f"{part}.{number:03d}": np.asarray(leaf) for number, leaf in enumerate(leaves)}


def _restored(part: str, tree: Any, arrays: dict[str, NDArray[Any]], path: Path) -> Any:
    leaves, shape = jax.tree.flatten(tree)
    found = [arrays.get(f"{part}.{number:03d}") for number in range(len(leaves))]
    restored = []
    for leaf, value in zip(leaves, found, strict=True):
        if value is None or value.shape != leaf.shape:
            raise UserError(f"{path}: belongs to a training on other data; delete it or name another")
        restored.append(jnp.asarray(value))
    return jax.tree.unflatten(shape, restored)
