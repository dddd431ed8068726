"""A fit from a configuration to a folder.

The folder holds ``params.safetensors`` and ``model.json``, ``history.csv``, ``pairs.safetensors`` (impressions and
clicks of each pair), and while a training runs ``state.safetensors``, from which it can go on.
"""

from __future__ import annotations

import csv
import io
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ir_shared.console import DataWarning, PartialResult, UserError
from ir_shared.run_dir import atomic_write, read_json

from clax.checkpoint import load_state, save_model, save_state
from clax.config import FitConfig, from_mapping
from clax.data.session_data import SessionData
from clax.em import fit_em
from clax.em.expectation import tabular_parameters
from clax.fit_result import FitResult, TrainConfig, TrainState
from clax.logs import Logs, open_logs
from clax.models import ClickModel
from clax.pair_counts import CountedData, PairCounts
from clax.parameters import Params
from clax.structure import make_model
from clax.training import train

__all__ = ["Fitted", "fit", "save_fitted"]


_EM_STEPS = 100
"""Steps of EM that together count as one of training. They are many and small: stopped at ``min_delta``, examination is
still off by several of its standard errors."""

_CERTAIN = 14.0
"""The logit of a probability within 1e-6 of 1."""


@dataclass(frozen=True)
class Fitted:
    """What a fit found.

    Attributes:
        model: its structure.
        params: its weights.
        history: one dictionary per epoch or iteration.
        best_epoch: where the weights are from.
        stopped: why it ended.
        seconds: how long it took, without opening the log.
        counts: of the pairs in training.
    """

    model: ClickModel
    params: Params
    history: tuple[Mapping[str, Any], ...]
    best_epoch: int
    stopped: str
    seconds: float
    counts: PairCounts | None


def fit(
    config: FitConfig,
    folder: str | Path | None = None,
    *,
    logs: Logs | None = None,
    resume: bool = False,
    on_epoch: Callable[[Mapping[str, Any]], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Fits a model.

    Args:
        config: what to fit, and how.
        folder: where to keep it; nothing is written without one.
        logs: opened before, with :func:`open_logs`.
        resume: go on from the folder's checkpoint, if there is one.
        on_epoch: called after each epoch with its line of the history.
        on_step: called after each step with the epoch and the step.

    Raises:
        UserError: the log or the configuration cannot be used.
        PartialResult: interrupted, with the last checkpoint saved.
    """
    logs = logs or open_logs(config.data, config.seed)
    model = make_model(config, logs.train)
    if folder is not None and not resume and (Path(folder) / "state.safetensors").exists():
        raise UserError(f"{folder}: holds an unfinished training; go on with --resume, or choose another folder")
    if folder is not None:
        _make(Path(folder))
    counted = CountedData(logs.train, logs.train.num_pairs)
    started = time.perf_counter()
    if config.method == "em":
        found = _fit_em(config, model, counted, logs, folder, on_epoch)
    else:
        found = _train(config, model, counted, logs, folder, resume, on_epoch, on_step)
    fitted = replace(found, seconds=time.perf_counter() - started, counts=counted.counts)
    if folder is not None:
        save_fitted(folder, config, fitted, logs.train)
        (Path(folder) / "state.safetensors").unlink(missing_ok=True)
    return fitted


def _make(folder: Path) -> None:
    """Makes the folder before the work, and not after it, finds that there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: is no folder and cannot be made ({error.strerror}); choose another") from error


def _train(
    config: FitConfig,
    model: ClickModel,
    data: CountedData,
    logs: Logs,
    folder: str | Path | None,
    resume: bool,
    on_epoch: Callable[[Mapping[str, Any]], None] | None,
    on_step: Callable[[int, int], None] | None,
) -> Fitted:
    options = TrainConfig(**asdict(config.train), seed=config.seed)
    checkpoint = None if folder is None else Path(folder) / "state.safetensors"
    state = None
    if resume and checkpoint is not None and checkpoint.exists():
        _check_same(checkpoint.parent, config, logs.train)
        state = load_state(checkpoint, model, options)
    done = len(state.history) if state else 0

    def keep(current: TrainState) -> None:
        nonlocal done
        if checkpoint is not None:
            save_state(checkpoint, current)
            best = Fitted(model, current.best_params, tuple(map(vars, current.history)), 0, "", 0.0, data.counts)
            save_fitted(checkpoint.parent, config, best, logs.train)
        done = len(current.history)
        if on_epoch is not None:
            on_epoch(vars(current.history[-1]))

    try:
        result = train(model, data, logs.valid, options, state=state, on_epoch=keep, on_step=on_step)
    except KeyboardInterrupt:
        if checkpoint is None or not done:
            raise
        raise PartialResult(f"{folder}: holds the model after epoch {done}; go on with --resume") from None
    return _fitted(model, result)


def _check_same(folder: Path, config: FitConfig, data: SessionData) -> None:
    """Refuses to go on with another log or configuration; more epochs are fine."""
    about = read_json(folder / "model.json")
    before = from_mapping(FitConfig, about["config"], str(folder / "model.json"))
    if replace(before, train=replace(before.train, epochs=config.train.epochs)) != config:
        raise UserError(f"{folder}: its training was started with other settings; repeat them, or start anew elsewhere")
    if about["data"]["fingerprint"] != data.source.fingerprint():
        raise UserError(f"{folder}: its training was started on another log; start anew in another folder")


def _fitted(model: ClickModel, result: FitResult) -> Fitted:
    return Fitted(model, result.params, tuple(map(vars, result.history)), result.best_epoch, result.stopped, 0.0, None)


def _fit_em(
    config: FitConfig,
    model: ClickModel,
    data: CountedData,
    logs: Logs,
    folder: str | Path | None,
    on_epoch: Callable[[Mapping[str, Any]], None] | None,
) -> Fitted:
    lines: list[Mapping[str, Any]] = []
    last: Params = None

    def keep(iteration: int, objective: float) -> None:
        lines.append({"iteration": iteration, "objective": objective})
        if on_epoch is not None:
            on_epoch(lines[-1])

    def remember(params: Params) -> None:
        nonlocal last
        last = params

    def fitted(params: Params, stopped: str) -> Fitted:
        return Fitted(model, params, tuple(lines), len(lines) - 1, stopped, 0.0, data.counts)

    try:
        result = fit_em(
            model,
            data,
            iterations=config.train.epochs,
            tolerance=config.train.min_delta / _EM_STEPS,
            seed=config.seed,
            on_iteration=keep,
            on_weights=remember,
        )
    except KeyboardInterrupt:
        if folder is None or last is None:
            raise
        save_fitted(folder, config, fitted(last, "interrupted"), logs.train)
        raise PartialResult(f"{folder}: holds the model after iteration {len(lines) - 1}") from None
    _warn_if_certain(model, result.params)
    return fitted(result.params, "epochs" if len(lines) > config.train.epochs else "tolerance")


def _warn_if_certain(model: ClickModel, params: Params) -> None:
    certain = 0
    for name, parameter in tabular_parameters(model).items():
        certain += int(np.count_nonzero(np.abs(parameter.row_logits(params[name])) > _CERTAIN))
    if certain:
        warnings.warn(
            f"EM put {certain} probabilities at (almost) 0 or 1, as nothing in this log speaks against it; in another "
            "log what differs is then all but impossible: pseudo-counts keep them moderate",
            DataWarning,
            stacklevel=2,
        )


def save_fitted(folder: str | Path, config: FitConfig, fitted: Fitted, data: SessionData) -> None:
    """Writes the model, its history and the counts of its pairs.

    Args:
        folder: made if absent.
        config: how it was fitted.
        fitted: the model.
        data: the training log.
    """
    folder = Path(folder)
    about = {
        "fingerprint": data.source.fingerprint(),
        "vocabulary": data.vocabulary_name,
        "num_pairs": data.num_pairs,
        "unknown_id": data.rules.unknown_id,
        "max_positions": data.max_positions,
    }
    save_model(folder, fitted.model, fitted.params, data=about, config=asdict(config), seed=config.seed)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(fitted.history[0]) if fitted.history else ["epoch"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(fitted.history)
    atomic_write(folder / "history.csv", text.getvalue())
    if fitted.counts is not None:
        fitted.counts.save(folder / "pairs.safetensors")
