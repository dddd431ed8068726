"""One seed repeats every source of randomness, and bad seeds are refused."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
from ir_shared.console import UserError
from ir_shared.seeding import seed_everything


def global_numpy() -> float:
    return float(np.random.random())  # noqa: NPY002 - the global generator is what is tested


def draws() -> tuple[float, float, float]:
    seeds = seed_everything(7)
    return random.random(), global_numpy(), float(seeds.numpy.random())


def test_the_same_seed_repeats_python_numpy_and_the_generator() -> None:
    assert draws() == draws()


def test_another_seed_gives_other_draws() -> None:
    seed_everything(1)
    first = random.random(), global_numpy()
    seed_everything(2)
    second = random.random(), global_numpy()
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_the_generator_is_independent_of_the_global_one() -> None:
    expected = seed_everything(3).numpy.random()
    seeds = seed_everything(3)
    global_numpy()
    assert seeds.numpy.random() == expected


def test_torch_is_seeded_where_it_is_loaded() -> None:
    torch = pytest.importorskip("torch")
    seed_everything(5)
    first = torch.rand(3)
    seed_everything(5)
    assert torch.equal(first, torch.rand(3))


def test_nothing_heavy_is_imported_for_it() -> None:
    code = "import sys, ir_shared.seeding as s; s.seed_everything(0); print({'torch', 'jax'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_jax_key_is_the_key_of_the_seed() -> None:
    jax = pytest.importorskip("jax", reason="needs jax, which the package clax brings")
    assert jax.random.key_data(seed_everything(9).jax_key()).tolist() == jax.random.key_data(jax.random.key(9)).tolist()


def test_without_jax_the_key_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(UserError, match="install jax"):
        seed_everything(0).jax_key()


@pytest.mark.parametrize("seed", [-1, 2**32, 10**12])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(UserError, match="out of range"):
        seed_everything(seed)


@pytest.mark.parametrize("seed", [1.5, "1", None])
def test_a_seed_that_is_no_whole_number_is_refused(seed: object) -> None:
    with pytest.raises(UserError, match="whole number"):
        seed_everything(seed)  # type: ignore[arg-type]


def test_the_ends_of_the_range_and_numpy_integers_are_taken() -> None:
    assert seed_everything(0).seed == 0
    assert seed_everything(2**32 - 1).seed == 2**32 - 1
    assert seed_everything(np.int64(4)).seed == 4
