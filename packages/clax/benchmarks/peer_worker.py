"""Runs the peer package clax-models in its own environment; started by peer_parity.py, not by hand.

python peer_worker.py speed --models pbm,... --positions 10,22 --batch 4096 --pairs 100000
python peer_worker.py values INPUT.npz OUTPUT.npz
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import clax.models as peer
import jax
import jax.numpy as jnp
import numpy as np
import optax
from clax.metrics import Average, MultiMetric
from clax.trainer import Trainer
from flax import nnx

BATCHES = 8
BLOCKS = 5


def build(name: str, pairs: int, positions: int) -> Any:
    """A model of the peer in its default form."""
    by_pair, rngs = {"query_doc_pairs": pairs}, nnx.Rngs(0)
    by_position = {"positions": positions}
    builders: dict[str, Any] = {
        "gctr": lambda: peer.GlobalCTRModel(rngs=rngs),
        "rctr": lambda: peer.RankCTRModel(**by_position, rngs=rngs),
        "dctr": lambda: peer.DocumentCTRModel(**by_pair, rngs=rngs),
        "drctr": lambda: peer.DocumentRankCTRModel(**by_position, **by_pair, rngs=rngs),
        "cm": lambda: peer.CascadeModel(**by_pair, rngs=rngs),
        "pbm": lambda: peer.PositionBasedModel(**by_position, **by_pair, rngs=rngs),
        "ubm": lambda: peer.UserBrowsingModel(**by_position, **by_pair, rngs=rngs),
        "dcm": lambda: peer.DependentClickModel(**by_position, **by_pair, rngs=rngs),
        "ccm": lambda: peer.ClickChainModel(**by_pair, rngs=rngs),
        "dbn": lambda: peer.DynamicBayesianNetwork(**by_pair, rngs=rngs),
        "sdbn": lambda: peer.DynamicBayesianNetwork(**by_pair, fix_continuation=True, rngs=rngs),
    }
    return builders[name]()


def speed(options: argparse.Namespace) -> None:
    """Prints one row per model and list length, as steady_state.py does."""
    rows = [_measure(name, p, options) for p in options.positions for name in options.models]
    print(json.dumps(rows))


def _measure(name: str, positions: int, options: argparse.Namespace) -> dict[str, Any]:
    model, trainer = build(name, options.pairs, positions), Trainer(optax.adamw(3e-3, weight_decay=1e-4))
    optimizer, metrics = nnx.ModelAndOptimizer(model, trainer.optimizer), MultiMetric({"loss": Average("loss")})
    random, shape = np.random.default_rng(0), (options.batch, positions)
    # DRCTR addresses rows beyond its table for the last pair; leave that one out.
    data = [_batch(random.integers(1, options.pairs, shape), random.random(shape) < 0.15) for _ in range(BATCHES)]
    start = time.perf_counter()
    trainer._train_step(model, optimizer, metrics, data[0])
    jax.block_until_ready(nnx.state(model))
    first = time.perf_counter() - start
    blocks = []
    for _ in range(BLOCKS):
        start = time.perf_counter()
        for batch in data:
            trainer._train_step(model, optimizer, metrics, batch)
        jax.block_until_ready(nnx.state(model))
        blocks.append((time.perf_counter() - start) / len(data))
    return {"model": name, "positions": positions, "first_s": first, "step_s": blocks}


def _batch(pairs: np.ndarray, clicks: np.ndarray) -> dict[str, jax.Array]:
    positions = np.tile(np.arange(1, pairs.shape[1] + 1, dtype=np.int32), (len(pairs), 1))
    return {
        "query_doc_ids": jnp.asarray(pairs, jnp.int32),
        "positions": jnp.asarray(positions),
        "clicks": jnp.asarray(clicks, jnp.float32),
        "mask": jnp.ones(pairs.shape, bool),
    }


def values(source: str, target: str) -> None:
    """Writes the peer's conditional and unconditional log-probabilities for the logits and sessions in a file."""
    given = dict(np.load(source))
    batch = _batch(given["pairs"], given["clicks"])
    n = given["pairs"].shape[1]
    models = {name: build(name, n, n) for name in ("pbm", "ubm", "dcm", "ccm", "dbn", "sdbn", "cm")}
    for model in models.values():
        _fill(model, given)
    models["pbm+dbn"] = peer.MixtureModel([models["pbm"], models["dbn"]])
    models["pbm+dbn"].model_prior_logits.value = jnp.asarray(given["prior"])
    result = {}
    for name, model in models.items():
        result[f"{name} conditional"] = np.asarray(model.predict_conditional_clicks(batch))
        result[f"{name} unconditional"] = np.asarray(model.predict_clicks(batch))
    np.savez(target, **result)


def _fill(model: Any, given: dict[str, np.ndarray]) -> None:
    names = {"continuation": "gamma"} if hasattr(model, "satisfaction") else {"continuation": "lambda"}
    if hasattr(model, "examination"):
        names["examination"] = "browsing" if type(model).__name__ == "UserBrowsingModel" else "theta"
    names |= {"attraction": "alpha", "satisfaction": "sigma", "continuation_exam_no_click": "tau1"}
    names |= {"continuation_click_not_satisfied": "tau2", "continuation_click_satisfied": "tau3"}
    for attribute, key in names.items():
        parameter = getattr(model, attribute, None)
        if parameter is None:
            continue
        if hasattr(parameter, "weight"):
            parameter.weight.value = jnp.asarray(given[key], jnp.float32).reshape(1)
            continue
        table = np.zeros(parameter.embeddings.embedding.value.shape, np.float32)
        values = given[key]
        if key == "browsing":  # the peer's row for position k and last click l is k * positions + l
            values = values.reshape(model.positions + 1, -1)[:, :-1]
        table[: values.size, 0] = values.ravel()
        parameter.embeddings.embedding.value = jnp.asarray(table)
        parameter.baseline.value = jnp.zeros(1)


def main() -> None:
    """Dispatches."""
    if sys.argv[1] == "values":
        values(*sys.argv[2:4])
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("task")
    parser.add_argument("--models", type=lambda text: text.split(","))
    parser.add_argument("--positions", type=lambda text: [int(x) for x in text.split(",")])
    parser.add_argument("--batch", type=int)
    parser.add_argument("--pairs", type=int)
    speed(parser.parse_args())


if __name__ == "__main__":
    main()
