"""What a table loses when pairs share rows by a hash."""

from __future__ import annotations

from functools import partial

from ir_shared.claims import Context, Measurement

from clax.batch import Batch, batches
from clax.claims.fits import split
from clax.em import count_estimates
from clax.evaluation import evaluate
from clax.fit_result import TrainConfig
from clax.models import ClickModel, build_model
from clax.parameters import HashedTable, Params
from clax.simulation import make_world
from clax.training import train

__all__ = ["hashed_tenfold", "hashed_thousandfold"]

_QUERIES, _DOCUMENTS = 1000, 10
_PAIRS = _QUERIES * _DOCUMENTS
_MODELS = {"quick": ("pbm",), "laptop": ("pbm", "ubm", "dbn"), "paper": ("pbm", "ubm", "dbn")}
_SESSIONS = {"quick": 40_000, "laptop": 400_000, "paper": 4_000_000}
_BATCH = 1000


def hashed_tenfold(context: Context) -> Measurement:
    """The share of what documents add to held-out likelihood that ten pairs a row lose.

    What documents add is the log-likelihood with one row a pair, less that of the rank CTR model, which knows positions
    only. The value is that of the model that loses most.
    """
    return _lost(context, 10)


def hashed_thousandfold(context: Context) -> Measurement:
    """The same with a thousand pairs a row, which leaves ten rows."""
    return _lost(context, 1000)


def _lost(context: Context, ratio: int) -> Measurement:
    details: dict[str, object] = {}
    lost = []
    for name in _MODELS[context.scale]:
        world = make_world(name, queries=_QUERIES, documents=_DOCUMENTS, seed=context.seed)
        size = _SESSIONS[context.scale]
        log = world.sessions(size + size // 4, seed=context.seed + 1000)._replace(labels=None, query_ids=None)
        parts = split(log, size, size // 8, size // 8)
        ranks = build_model("rctr", _PAIRS, _DOCUMENTS)
        floor = _score(ranks, count_estimates(ranks, [parts[0]]), parts[2])
        whole = _fit(world.model, parts, context.seed)
        hashed = partial(HashedTable, _PAIRS, ratio, seed=context.seed)
        small = _fit(build_model(name, _PAIRS, _DOCUMENTS, pair_parameter=hashed), parts, context.seed)
        lost.append((whole - small) / (whole - floor))
        details[f"{name}, log-likelihood of a document"] = (
            f"{floor:.4f} by rank alone, {small:.4f} hashed, {whole:.4f} in full, "
            f"{_score(world.model, world.params, parts[2]):.4f} by the truth"
        )
    return Measurement(
        value=max(lost),
        data=f"simulated sessions (synthetic): {_QUERIES} queries by Zipf(1.3), {_DOCUMENTS} documents each",
        details=details,
    )


def _fit(model: ClickModel, parts: list[Batch], seed: int) -> float:
    """The held-out log-likelihood after training with early stopping."""
    train_part, valid, test = parts
    data = batches(train_part, _BATCH, shuffle=seed)
    found = train(model, data, batches(valid, _BATCH), TrainConfig(lr=0.03, epochs=30, patience=1, seed=seed))
    return _score(model, found.params, test)


def _score(model: ClickModel, params: Params, test: Batch) -> float:
    return evaluate(model, params, batches(test, _BATCH)).log_likelihood
