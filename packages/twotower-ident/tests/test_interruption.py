"""Ctrl-C: it is never lost, and what was cut short never passes for finished."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import numpy as np
import pytest
from twotower_ident.commands.simulate import _write_log
from twotower_ident.generators import gaussian_letor
from twotower_ident.interruption import interruptible
from twotower_ident.policies import EpsilonGreedy, ExpertPolicy
from twotower_ident.simulate import expected_cells, make_world
from twotower_ident.towers import Linear, TwoTower
from twotower_ident.training import TrainConfig, TrainingData, train
from twotower_ident.user_models import UserModel

DOCUMENTS = gaussian_letor(n_queries=4, n_docs=3, n_features=2, seed=0)
WORLD = make_world(DOCUMENTS, ExpertPolicy(), UserModel(), seed=0)


def test_an_interrupt_that_a_callback_swallows_still_ends_the_training() -> None:
    pytest.importorskip("flax", reason="needs twotower-ident[deep]")
    data = TrainingData(expected_cells(WORLD, EpsilonGreedy(0.5)), DOCUMENTS.features)

    def press(epoch: int, losses: dict, state: object) -> None:
        if epoch == 2:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = train(TwoTower(Linear()), data, data, TrainConfig(steps=5, epochs=9), on_epoch=press)
    assert (result.stopped, len(result.history)) == ("interrupted", 2)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        result.finished()


def test_a_second_interrupt_does_not_wait() -> None:
    with interruptible() as pressed:
        assert not pressed()
        signal.raise_signal(signal.SIGINT)
        assert pressed()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


class Stopping(EpsilonGreedy):
    """Is interrupted at the second part of the sessions."""

    parts = 0

    def place(self, scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        Stopping.parts += 1
        if Stopping.parts == 2:
            raise KeyboardInterrupt
        return super().place(scores, rng)


def test_a_simulation_that_is_cut_short_leaves_no_log(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    with pytest.raises(KeyboardInterrupt):
        _write_log(path, WORLD, Stopping(0.5), 300_000, 0, False, True)
    assert Stopping.parts == 2
    assert list(tmp_path.iterdir()) == []
