"""How long a billion sessions take, extrapolated from a measured rate."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from ir_shared.claims import Context, Measurement

from clax.batch import Batch
from clax.claims.classic_em import CLASSIC, sessions, start
from clax.data import SessionData, Sessions, SessionWriter
from clax.fit_result import TrainConfig
from clax.models import build_model
from clax.parameters import HashedTable
from clax.training import train

__all__ = ["BAIDU", "billion", "billion_in_loops"]

BAIDU = "baidu-ultr/*.parquet"
"""The Baidu-ULTR log as Parquet with one row per session; ids are hashed to 31 bits."""

_BATCH = 4096
_RATIO = 10
_STEPS = {"quick": 40, "laptop": 400, "paper": 4000}
_WARM = 10
_BAIDU_POSITIONS, _BAIDU_PAIRS = 22, 2**31 - 1
_POSITIONS, _PAIRS = 10, 10_000_000
_LOOPED = 2000


def billion(context: Context) -> Measurement:
    """Hours of one training pass of DBN, with ten pairs a row, over a billion sessions read from Parquet."""
    with tempfile.TemporaryDirectory() as folder:
        data, name = _log(context, Path(folder))
        rate = _rate(data)
    device = jax.devices()[0]
    return Measurement(
        value=1e9 / rate / 3600,
        data=name,
        details={"sessions a second": rate, "device": f"{len(jax.devices())} x {device.device_kind}"},
    )


def billion_in_loops(context: Context) -> Measurement:
    """The same for one iteration of EM in the classic way, a Python loop over the sessions."""
    with tempfile.TemporaryDirectory() as folder:
        data, name = _log(context, Path(folder))
        first = next(iter(data))
    log = Batch(*(None if x is None else x[:_LOOPED] for x in first))
    ids, dense = np.unique(log.pair_ids, return_inverse=True)
    plain = sessions(log._replace(pair_ids=dense.reshape(log.pair_ids.shape)))
    tables = start({"attraction": len(ids), "satisfaction": len(ids), "continuation": 1})
    began = time.perf_counter()
    CLASSIC["dbn"](tables, plain)
    rate = len(plain) / (time.perf_counter() - began)
    return Measurement(value=1e9 / rate / 3600, data=name, details={"sessions a second": rate})


def _log(context: Context, folder: Path) -> tuple[SessionData, str]:
    wanted = _BATCH * _STEPS[context.scale]
    if context.has_data("baidu-ultr"):
        data = SessionData.from_parquet(
            str(context.data("baidu-ultr") / "*.parquet"),
            max_positions=_BAIDU_POSITIONS,
            num_pairs=_BAIDU_PAIRS,
            batch_size=_BATCH,
        )
        return data.window(0, min(wanted, data.num_sessions)), "Baidu-ULTR (real), its first sessions"
    path = folder / "log.parquet"
    with SessionWriter(path, {"num_pairs": _PAIRS, "max_positions": _POSITIONS}) as writer:
        for part in _uniform(wanted):
            writer.write(part)
    return (
        SessionData.from_parquet(path, batch_size=_BATCH),
        f"{wanted:,} sessions of {_POSITIONS} uniformly random documents out of {_PAIRS:,} (synthetic)",
    )


def _uniform(count: int) -> Iterator[Sessions]:
    random = np.random.default_rng(0)
    for begun in range(0, count, _BATCH):
        size = min(_BATCH, count - begun)
        ids = random.integers(1, _PAIRS + 1, size * _POSITIONS).astype(np.int32)
        offsets = np.arange(size + 1, dtype=np.int64) * _POSITIONS
        yield Sessions(offsets, random.random(len(ids)) < 0.15, ids)


def _rate(data: SessionData) -> float:
    """Sessions a second of an epoch, loading included, from the tenth step on."""
    table = HashedTable(data.num_pairs, _RATIO)
    model = build_model("dbn", data.num_pairs, data.max_positions, pair_parameter=lambda: table)
    times: list[float] = []
    train(model, data, config=TrainConfig(epochs=1), on_step=lambda _, __: times.append(time.perf_counter()))
    first = min(_WARM, len(times) - 2)
    return (len(times) - 1 - first) * data.batch_size / (times[-1] - times[first])
