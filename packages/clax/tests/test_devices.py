"""Training on several devices and on several hosts gives what one device gives."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from clax.batch import batches
from clax.fit_result import TrainConfig
from clax.models import build_model
from clax.parameters import PseudoCounts
from clax.simulation import make_world
from clax.training import train

_TWO_DEVICES = """
import json
import jax
from clax.batch import batches
from clax.fit_result import TrainConfig
from clax.simulation import make_world
from clax.training import train
world = make_world("pbm", queries=5, documents=4, max_positions=4)
data = batches(world.sessions(301, seed=1), 101, shuffle=2)
fit = train(world.model, data, data, TrainConfig(lr=0.05, epochs=3))
result = [len(jax.devices()), [[e.train_loss, e.valid_loss] for e in fit.history]]
"""


def test_g14_two_devices_give_the_losses_of_one():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    code = _TWO_DEVICES + "print(json.dumps(result))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    devices, losses = json.loads(done.stdout)
    assert devices == 2
    here: dict = {}
    exec(_TWO_DEVICES, here)
    assert here["result"][0] == 1
    np.testing.assert_allclose(losses, here["result"][1], atol=1e-5)


_TWO_HOSTS = """
import json
import sys
import jax
rank, port = int(sys.argv[1]), sys.argv[2]
jax.distributed.initialize("localhost:" + port, num_processes=2, process_id=rank)
from clax.batch import Batch, batches
from clax.fit_result import TrainConfig
from clax.models import build_model
from clax.parameters import PseudoCounts
from clax.simulation import make_world
from clax.training import train
log = make_world("pbm", queries=5, documents=4, max_positions=4).sessions(400, seed=1)
part = Batch(*(x if x is None else x[rank * 200:(rank + 1) * 200] for x in log))
data = batches(part, 200)
fit = train(build_model("pbm", 20, 4, prior=PseudoCounts(50, 50)), data, data, TrainConfig(lr=0.05, epochs=3))
print(json.dumps([[e.train_loss, e.valid_loss] for e in fit.history]))
"""


@pytest.mark.slow
def test_two_hosts_with_a_part_of_the_log_each_give_the_losses_of_one():
    """Also with a prior, which counts once for the whole log and not once for each part."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-c", _TWO_HOSTS]
    hosts = [subprocess.Popen([*command, rank, port], stdout=subprocess.PIPE, text=True) for rank in "01"]
    found = [json.loads(host.communicate(timeout=120)[0].splitlines()[-1]) for host in hosts]
    data = batches(make_world("pbm", queries=5, documents=4, max_positions=4).sessions(400, seed=1), 400)
    model = build_model("pbm", 20, 4, prior=PseudoCounts(50, 50))
    whole = train(model, data, data, TrainConfig(lr=0.05, epochs=3))
    expected = [[e.train_loss, e.valid_loss] for e in whole.history]
    for losses in found:
        np.testing.assert_allclose(losses, expected, atol=1e-5)
