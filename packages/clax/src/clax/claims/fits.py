"""The simulated logs that most claims share, and the fits to them.

Every model is simulated in a small world of its own and trained with one compiled step, and each fit serves several
claims: how good it gets, how long it takes, what it recovers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import numpy as np
import optax

from clax.batch import ArrayBatches, Batch, batches, make_batch
from clax.em import fit_em
from clax.fit_result import FitResult, TrainConfig, TrainState
from clax.models import MODEL_NAMES, ClickModel, build_model
from clax.parameters import Params, PseudoCounts
from clax.simulation import World, make_world
from clax.training import train

__all__ = [
    "CLOSED_FORM",
    "DATA",
    "EM_MODELS",
    "GROWTH",
    "PRIOR",
    "Climb",
    "Log",
    "Training",
    "climb",
    "clock",
    "fitted_model",
    "in_chunks",
    "sessions_of",
    "split",
    "trained",
    "world_of",
]

PRIOR = PseudoCounts(1.0, 1.0)
"""What classic EM implementations add to every probability; EM and training climb the same hill with it."""
EM_MODELS = ("pbm", "ubm", "dcm", "ccm", "dbn", "sdbn")
CLOSED_FORM = tuple(name for name in MODEL_NAMES if name not in EM_MODELS)
"""The models whose (penalised) likelihood is maximised by counting."""
GROWTH = 16
"""How many times longer the long log of a world is than its short one."""
DATA = "sessions simulated from each model (synthetic): 10 queries by Zipf(1.3), 6 documents each"

_SHORT = {"quick": 2_500, "laptop": 25_000, "paper": 250_000}
_QUERIES, _DOCUMENTS = 10, 6
_BATCH, _CHUNK = 500, 2_500
_STEPS, _RATE = 400, 0.1


@dataclass(frozen=True)
class Log:
    """Which log of which world.

    Attributes:
        name: of the model that it is drawn from.
        seed: of the world and of the log.
        scale: of the claims.
        long: the whole log, or its first sixteenth.
        confounding: share of sessions ranked by true attraction instead of at random.
    """

    name: str
    seed: int
    scale: str
    long: bool = False
    confounding: float = 0.0


def clock() -> float:
    """Seconds: of the processor where that does the work, which what else it does cannot disturb; else of the wall."""
    return time.process_time() if jax.default_backend() == "cpu" else time.perf_counter()


@lru_cache(maxsize=64)
def world_of(name: str, seed: int) -> World:
    """A world of 10 queries with 6 documents each, all shown."""
    return make_world(name, queries=_QUERIES, documents=_DOCUMENTS, max_positions=_DOCUMENTS, seed=seed)


@lru_cache(maxsize=64)
def sessions_of(log: Log) -> Batch:
    """The sessions."""
    size = _SHORT[log.scale] * (GROWTH if log.long else 1)
    parts = world_of(log.name, log.seed).stream(
        size, confounding=log.confounding, seed=log.seed + 1000, chunk=_SHORT[log.scale]
    )
    columns = zip(*(part._replace(labels=None, query_ids=None) for part in parts), strict=True)
    return Batch(*(None if column[0] is None else np.concatenate(column) for column in columns))


def fitted_model(name: str) -> ClickModel:
    """The model that is fitted to its own world: tables with the usual prior."""
    return build_model(name, _QUERIES * _DOCUMENTS, _DOCUMENTS, prior=PRIOR)


def in_chunks(sessions: Batch) -> ArrayBatches:
    """The sessions in order, in batches of one shape for all logs."""
    return batches(sessions, _CHUNK)


def split(sessions: Batch, *sizes: int) -> list[Batch]:
    """The first so many sessions, the next so many, ..."""
    ends = np.cumsum(sizes)
    return [
        Batch(*(None if x is None else x[end - size : end] for x in sessions))
        for size, end in zip(sizes, ends, strict=True)
    ]


@dataclass(frozen=True)
class Training:
    """A training by gradient.

    Attributes:
        params: the last weights.
        epochs: seconds since its start, and the log-likelihood of a document of the log, after each epoch.
    """

    params: Params
    epochs: tuple[tuple[float, float], ...]

    def seconds_to(self, likelihood: float) -> float:
        """Seconds until a likelihood is reached; infinite if it is not."""
        return next((seconds for seconds, reached in self.epochs if reached >= likelihood), float("inf"))


@lru_cache(maxsize=256)
def trained(log: Log) -> Training:
    """Trains with Adam on batches of 500, its rate falling from 0.1 to 0 over 400 steps (two epochs if those are more).

    The likelihood of the whole log is taken after each epoch, and its time counts. Compiling does not.
    """
    model, sessions = fitted_model(log.name), sessions_of(log)
    _compile(model, _steps(sessions))
    epochs: list[tuple[float, float]] = []
    began = clock()

    def look(state: Any) -> None:
        epochs.append((clock() - began, -state.history[-1].valid_loss))

    found = _train(model, sessions, log.seed, _steps(sessions), on_epoch=look)
    return Training(found.state.params, tuple(epochs))


@dataclass(frozen=True)
class Climb:
    """A climb by EM.

    Attributes:
        params: the last weights.
        seconds: since its start, after each iteration; aggregating the log, where that is exact, included.
        likelihoods: of a document, by iteration from 0.
        objective: of a document, of the last weights: the likelihood with the prior.
    """

    params: Params
    seconds: tuple[float, ...]
    likelihoods: tuple[float, ...]
    objective: float


@lru_cache(maxsize=256)
def climb(log: Log, iterations: int) -> Climb:
    """EM, vectorised; compiling does not count."""
    model, sessions = fitted_model(log.name), sessions_of(log)
    documents = int(sessions.mask.sum())
    fit_em(model, in_chunks(sessions), iterations=1)  # compiles
    seconds: list[float] = []
    began = clock()
    found = fit_em(
        model,
        in_chunks(sessions),
        iterations=iterations,
        seed=log.seed,
        on_iteration=lambda _, __: seconds.append(clock() - began),
    )
    likelihoods = tuple(x / documents for x in found.log_likelihood)
    return Climb(found.params, tuple(seconds), likelihoods, found.objective[-1] / documents)


def _steps(sessions: Batch) -> int:
    return max(_STEPS, 2 * -(-len(sessions.mask) // _BATCH))


def _train(
    model: ClickModel,
    sessions: Batch,
    seed: int,
    steps: int,
    on_epoch: Callable[[TrainState], None] | None = None,
    epochs: int | None = None,
) -> FitResult:
    data = batches(sessions, _BATCH, shuffle=seed)
    epochs = steps // len(data) if epochs is None else epochs
    config = TrainConfig(optimizer=_adam(steps), epochs=epochs, patience=epochs, seed=seed)
    return train(model, data, batches(sessions, _BATCH), config, on_epoch=on_epoch)


@lru_cache(maxsize=64)
def _compile(model: ClickModel, steps: int) -> None:
    """Takes one step of a training, so that the next one is compiled."""
    lists = np.tile(np.arange(_DOCUMENTS), (_BATCH, 1))
    _train(model, make_batch(lists + 1, clicks=lists == 0), 0, steps, epochs=1)


@lru_cache(maxsize=8)
def _adam(steps: int) -> Any:
    return optax.adam(optax.cosine_decay_schedule(_RATE, steps))
