"""Where a step runs: one device, all local devices, or all devices of all hosts, with the batch split by session.

On several hosts call ``jax.distributed.initialize()`` first (on SLURM, Open MPI and TPU pods it needs no arguments; or
``jax.distributed.initialize("host0:1234", num_processes=4, process_id=rank)``). Each host then iterates over its own
part of the data; all hosts must yield equally many batches of the same shape, and all get the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from clax.batch import Batch, pad_batch

__all__ = ["Placement", "place", "total_over_hosts"]


@dataclass(frozen=True)
class Placement:
    """Puts weights and batches where the steps expect them.

    Attributes:
        mesh: the devices along one axis, ``"session"``; None for a single device.
    """

    mesh: Mesh | None

    def replicated(self, tree: Any) -> Any:
        """Copies of the arrays, whole on every device; the originals stay valid."""
        if self.mesh is None:
            return jax.tree.map(lambda x: jax.numpy.array(x, copy=True), tree)
        everywhere = NamedSharding(self.mesh, PartitionSpec())  # type: ignore[no-untyped-call]
        return jax.tree.map(lambda x: jax.device_put(np.asarray(x), everywhere), tree)

    def split(self, batch: Batch) -> Batch:
        """The batch cut by session over the devices, padded with empty sessions to a multiple of their number."""
        if self.mesh is None:
            return batch
        local = len(self.mesh.local_devices)
        batch = pad_batch(batch, -(-len(batch.mask) // local) * local)
        by_session = NamedSharding(self.mesh, PartitionSpec("session"))  # type: ignore[no-untyped-call]

        def cut(x: Any) -> Any:
            return jax.make_array_from_process_local_data(by_session, np.asarray(x))  # type: ignore[no-untyped-call]

        return Batch(*(x if x is None else cut(x) for x in batch))


def place() -> Placement:
    """All devices there are, on all hosts."""
    devices = jax.devices()
    return Placement(Mesh(np.array(devices), ("session",)) if len(devices) > 1 else None)


def total_over_hosts(value: float) -> float:
    """The sum of a number that each host knows for its own part of the data."""
    if jax.process_count() == 1:
        return value
    from jax.experimental.multihost_utils import process_allgather

    return float(np.sum(process_allgather(np.float32(value))))
