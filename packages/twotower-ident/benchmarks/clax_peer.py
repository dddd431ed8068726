"""Wall time of clax-models' position-based model beside our exact embedding fit, on one log, in one run.

    python benchmarks/clax_peer.py --python OTHER/bin/python [--sessions 1000000] [--epochs 50] [--out clax.json]

clax-models lives in an environment of its own (``--python``, with ``clax-models`` installed there; one is built in a
temporary folder by uv where the option is left out); this file starts itself there. Both fit one number a position
and one a pair to the clicks of the same sessions. In common is the data, the two sets of parameters and the click
likelihood. Not in common: the link (the product of two probabilities there, the sum of two logits here), the method
(AdamW on batches of sessions there, with the peer's settings of 50 epochs at most and an end where the loss falls by
less than 1e-5; Newton's to a stationary point here) and the input (tensors of sessions there, made before the clock
starts; rows of a table here, which are first grouped). Batches are passed to the peer's own compiled training step,
without its data loader, validation and progress table, and the first call of the step, which compiles, is not
counted. Losses are those of the impressions fitted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 4096
POSITIONS = 10
LEAST_GAIN = 1e-5


def worker(path: str, epochs: int) -> None:
    """Trains the peer on the sessions of an npz file and prints what came of it; runs in the other environment."""
    from importlib.metadata import version

    import clax.models as peer
    import jax
    import jax.numpy as jnp
    import optax
    from clax.metrics import Average, MultiMetric
    from clax.trainer import Trainer
    from flax import nnx

    rows = np.load(path)
    pairs, clicks = rows["pairs"], rows["clicks"]
    places = jnp.asarray(np.tile(np.arange(1, POSITIONS + 1, dtype=np.int32), (BATCH, 1)))
    mask = jnp.ones((BATCH, POSITIONS), bool)

    def batch(chosen: np.ndarray) -> dict[str, Any]:
        shown, clicked = jnp.asarray(pairs[chosen], jnp.int32), jnp.asarray(clicks[chosen], jnp.float32)
        return {"query_doc_ids": shown, "positions": places, "clicks": clicked, "mask": mask}

    def model_and_optimizer() -> tuple[Any, Any]:
        model = peer.PositionBasedModel(positions=POSITIONS, query_doc_pairs=int(pairs.max()) + 1, rngs=nnx.Rngs(0))
        return model, nnx.ModelAndOptimizer(model, trainer.optimizer)

    trainer = Trainer(optax.adamw(3e-3, weight_decay=1e-4))
    metrics, random = MultiMetric({"loss": Average("loss")}), np.random.default_rng(0)
    whole = len(pairs) // BATCH * BATCH
    model, optimizer = model_and_optimizer()
    trainer._train_step(model, optimizer, metrics, batch(np.arange(BATCH)))  # compiles
    seconds, losses = [], []
    for _ in range(epochs):
        batches = [batch(part) for part in random.permutation(len(pairs))[:whole].reshape(-1, BATCH)]
        metrics.reset()
        start = time.perf_counter()
        for each in batches:
            trainer._train_step(model, optimizer, metrics, each)
        jax.block_until_ready(nnx.state(model))
        seconds.append(time.perf_counter() - start)
        losses.append(float(metrics.compute()["loss"]))
        if len(losses) > 1 and losses[-2] - losses[-1] < LEAST_GAIN:
            break
    print(json.dumps({"version": version("clax-models"), "seconds": seconds, "losses": losses}))


@contextmanager
def environment(python: Path | None) -> Iterator[Path]:
    """The interpreter that was named, or one of a temporary environment with the peer."""
    if python is not None:
        yield python
        return
    uv = shutil.which("uv")
    if uv is None:
        raise SystemExit("clax_peer: needs --python, or uv to build the peer's environment; give one")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([uv, "venv", "--quiet", "--python", "3.11", folder], check=True)
        made = Path(folder) / "bin" / "python"
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(made), "clax-models"], check=True)
        yield made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    from ir_shared.console import print_table
    from ir_shared.run_dir import hardware, versions, write_json
    from twotower_ident import ClickLog, EpsilonGreedy, ExpertPolicy, UserModel, fit_exact, make_world
    from twotower_ident.generators import gaussian_letor
    from twotower_ident.simulate import pair_names, simulate_sessions

    documents = gaussian_letor(n_queries=10_000, n_docs=POSITIONS, n_features=5, seed=1)
    world = make_world(documents, ExpertPolicy(0.5), UserModel(), seed=1)
    rows = simulate_sessions(world, EpsilonGreedy(1 / 3), sessions=options.sessions, seed=1)
    names = pair_names(world).with_row_index("pair")
    pair = rows.join(names, on=["qid", "docid"], how="left", maintain_order="left")["pair"]
    log = ClickLog.scan(rows)
    start = time.perf_counter()
    cells = log.cells()
    fit = fit_exact(cells, "embedding")
    ours = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder, environment(options.python) as python:
        path = Path(folder) / "sessions.npz"
        shape = (options.sessions, POSITIONS)
        np.savez(path, pairs=pair.to_numpy().reshape(shape), clicks=rows["click"].to_numpy().reshape(shape))
        argv = [str(python), __file__, "worker", str(path), str(options.epochs)]
        # What a progress table or a warning prints comes before the last line.
        peer = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
    total = sum(peer["seconds"])
    each, count = peer["seconds"][0], len(peer["seconds"])
    table: list[list[object]] = [
        ["ours: log in memory to exact embedding fit", ours, None, fit.nll],
        [f"clax-models {peer['version']}: PBM, epoch 1", each, each / ours, peer["losses"][0]],
        [f"the same, {count} epochs", total, total / ours, peer["losses"][-1]],
    ]
    title = f"{rows.height:,} impressions, {cells.n_cells:,} cells, {cells.n_pairs:,} pairs"
    print_table(title, ["", "seconds", "times ours", "loss"], table)
    if options.out is not None:
        about = {"hardware": hardware(), "versions": versions("twotower-ident")}
        write_json(options.out, {"rows": rows.height, "ours": ours, "peer": peer, "table": table, **about})


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(sys.argv[2], int(sys.argv[3]))
    else:
        main()
