"""Do networks over features predict better than tables where most pairs are hardly ever shown?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from ir_shared.claims import Context, Measurement
from numpy.typing import NDArray

from clax.batch import Batch, batches
from clax.claims.fits import split
from clax.evaluation import evaluate
from clax.fit_result import TrainConfig
from clax.models import PBM, ClickModel
from clax.parameters import MLP, Params, PositionParam, Table
from clax.simulation import World, make_world
from clax.training import train

__all__ = ["network_against_table", "shuffled_features"]

_QUERIES, _DOCUMENTS, _WIDTH = 1000, 6, 8
_SESSIONS = (4000, 1000, 2000)
"""To train on, to stop early by, and to test on: four impressions a pair to train on."""
_BATCH = 250

Features = NDArray[np.float32]


def network_against_table(context: Context) -> Measurement:
    """Held-out log-likelihood of a document by PBM with a network over features, less that with a table."""
    return _gain(context, lambda features, _: features)


def shuffled_features(context: Context) -> Measurement:
    """The same with the features passed around among the pairs."""
    return _gain(context, lambda features, generator: generator.permutation(features))


def _gain(context: Context, change: Callable[[Features, np.random.Generator], Features]) -> Measurement:
    generator = np.random.default_rng(context.seed)
    world, features = _featured_world(generator, context.seed)
    features = change(features, generator)
    log = world.sessions(sum(_SESSIONS), seed=context.seed + 1000)._replace(labels=None, query_ids=None)
    log = log._replace(features=features[log.pair_ids - 1])
    parts = split(log, *_SESSIONS)
    position = PositionParam(_DOCUMENTS)
    table = _fit(PBM(Table(world.num_pairs), position), parts, 0.03, context.seed)
    network = _fit(PBM(MLP(_WIDTH, hidden=(32, 32)), position), parts, 0.01, context.seed)
    truth = _score(world.model, world.params, parts[2])
    return Measurement(
        value=network - table,
        data=f"simulated sessions (synthetic): {world.num_pairs} pairs, shown four times each on average",
        details={"log-likelihood by table": table, "by network": network, "by the truth": truth},
    )


def _featured_world(generator: np.random.Generator, seed: int) -> tuple[World, Features]:
    """PBM where attraction is a function of eight features, with products in it, and all queries are as frequent."""
    world = make_world("pbm", queries=_QUERIES, documents=_DOCUMENTS, max_positions=_DOCUMENTS, seed=seed)
    x = generator.normal(size=(world.num_pairs, _WIDTH)).astype(np.float32)
    logits = -1.0 + x[:, 0] + x[:, 1] * x[:, 2] + np.maximum(x[:, 3], 0)
    attraction = Table(world.num_pairs).from_row_logits(np.r_[0.0, logits])
    alpha = (1 / (1 + np.exp(-logits.astype(np.float64)))).reshape(_QUERIES, _DOCUMENTS)
    popularity = np.full(_QUERIES, 1 / _QUERIES)
    return replace(world, params={**world.params, "attraction": attraction}, attraction=alpha, popularity=popularity), x


def _fit(model: ClickModel, parts: list[Batch], rate: float, seed: int) -> float:
    train_part, valid, test = parts
    config = TrainConfig(lr=rate, epochs=60, patience=3, seed=seed)
    found = train(model, batches(train_part, _BATCH, shuffle=seed), batches(valid, _BATCH), config)
    return _score(model, found.params, test)


def _score(model: ClickModel, params: Params, test: Batch) -> float:
    return evaluate(model, params, batches(test, _BATCH)).log_likelihood
