"""Fitted models and running trainings on disk: safetensors for arrays, JSON for the rest, nothing pickled.

A model's folder holds ``params.safetensors`` and ``model.json`` (structure, versions, seed, configuration, and the
fingerprint of the data). A training's state is one file, so that it is whole or not there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ir_shared.console import UserError, missing_extra
from ir_shared.run_dir import atomic_write, read_json, to_jsonable, versions, write_json
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from clax.fit_result import Epoch, TrainConfig, TrainState
from clax.model_config import describe, rebuild
from clax.models.base import ClickModel
from clax.parameters import Params
from clax.steps import adamw

__all__ = ["SavedModel", "load_model", "load_sharded", "load_state", "save_model", "save_sharded", "save_state"]

FORMAT = 1
"""The layout of ``model.json``; it grows when an older reader could not understand a newer file."""

_LOSSES = ("best_loss", "reference")


@dataclass(frozen=True)
class SavedModel:
    """A model read from a folder.

    Attributes:
        model: its structure.
        params: its weights.
        about: all that ``model.json`` says: ``versions``, ``seed``, ``config``, ``data``, ...
    """

    model: ClickModel
    params: Params
    about: Mapping[str, Any]


def save_model(
    folder: str | Path,
    model: ClickModel,
    params: Params,
    *,
    data: Mapping[str, Any] | None = None,
    config: object = None,
    seed: int | None = None,
) -> None:
    """Writes a model; each file is replaced whole.

    Args:
        folder: made if absent.
        model: its structure.
        params: its weights.
        data: what is known of the training data: ``fingerprint``, ``vocabulary``, ``num_pairs``, ``max_positions``.
        config: how it was trained.
        seed: of the training.

    Raises:
        UserError: the folder cannot be written to.
    """
    folder = Path(folder)
    atomic_write(folder / "params.safetensors", save(_named_arrays(params)))
    about = {
        "format": FORMAT,
        "clax": metadata.version("clax"),
        "versions": versions("clax"),
        "seed": seed,
        "model": describe(model),
        "data": to_jsonable(data or {}),
        "config": to_jsonable(config),
    }
    write_json(folder / "model.json", about)


def load_model(folder: str | Path, model: ClickModel | None = None) -> SavedModel:
    """Reads a model.

    Args:
        folder: written by :func:`save_model`.
        model: its structure, needed where a part of it is not this package's own.

    Raises:
        UserError: a file is missing or damaged, of another version, or weights and structure do not fit.
    """
    folder = Path(folder)
    about = read_json(folder / "model.json")
    made_by = about.get("clax", "an unknown version") if isinstance(about, dict) else "something else"
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise UserError(
            f"{folder / 'model.json'}: written by clax {made_by} in another format; this is clax "
            f"{metadata.version('clax')}, which reads format {FORMAT}: fit again, or use the version that wrote it"
        )
    model = model or rebuild(about["model"], str(folder / "model.json"))
    arrays, _ = _read(folder / "params.safetensors")
    return SavedModel(model, _fill(_shapes(model), arrays, "", folder / "params.safetensors"), about)


def save_state(path: str | Path, state: TrainState) -> None:
    """Writes all that a training needs to go on, as one file that replaces the last.

    Args:
        path: of the file.
        state: as :func:`clax.training.train` hands it to ``on_epoch``.
    """
    arrays: dict[str, np.ndarray] = {}
    for part in ("params", "opt_state", "best_params"):
        arrays |= _named_arrays(getattr(state, part), f"{part}/")
    # JSON knows no infinity, which is what a loss is before the first epoch.
    losses = {name: value if math.isfinite(value := getattr(state, name)) else None for name in _LOSSES}
    about = {**losses, "waited": state.waited, "history": [vars(epoch) for epoch in state.history], "format": FORMAT}
    atomic_write(path, save(arrays, {"clax": json.dumps(about)}))


def load_state(path: str | Path, model: ClickModel, config: TrainConfig | None = None) -> TrainState:
    """Reads a training's state, to be passed to :func:`clax.training.train`.

    Args:
        path: written by :func:`save_state`.
        model: the model that was trained.
        config: how; it decides the optimiser.

    Raises:
        UserError: the file is missing, damaged or of another version, or of another model or optimiser.
    """
    path, config = Path(path), config or TrainConfig()
    arrays, raw = _read(path)
    about = json.loads(raw.get("clax", "{}"))
    if about.get("format") != FORMAT:
        raise UserError(f"{path}: not a training state of this version of clax; start again")
    shapes = _shapes(model)
    optimizer = config.optimizer or adamw(config.lr, config.weight_decay)
    best_loss, reference = (math.inf if about[name] is None else about[name] for name in _LOSSES)
    return TrainState(
        params=_fill(shapes, arrays, "params/", path),
        opt_state=_fill(jax.eval_shape(optimizer.init, shapes), arrays, "opt_state/", path),
        best_params=_fill(shapes, arrays, "best_params/", path),
        history=tuple(Epoch(**epoch) for epoch in about["history"]),
        best_loss=best_loss,
        reference=reference,
        waited=about["waited"],
    )


def save_sharded(folder: str | Path, tree: Any) -> None:
    """Writes arrays that are spread over several hosts, each host its own part, through orbax.

    Args:
        folder: an empty or absent folder that all hosts see.
        tree: any pytree of arrays: weights, or the fields of a :class:`~clax.fit_result.TrainState`.

    Raises:
        UserError: ``clax[orbax]`` is not installed, or the folder is taken.
    """
    folder = Path(folder).absolute()
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: is not empty; choose another folder for the sharded checkpoint")
    with _orbax().StandardCheckpointer() as checkpointer:
        checkpointer.save(folder, tree, force=True)


def load_sharded(folder: str | Path, like: Any) -> Any:
    """Reads what :func:`save_sharded` wrote, placed as the arrays of ``like`` are.

    Args:
        folder: the folder.
        like: a tree of arrays, or of ``jax.ShapeDtypeStruct``, of the same structure.

    Raises:
        UserError: ``clax[orbax]`` is not installed, there is no such checkpoint, or it has another structure.
    """
    folder = Path(folder).absolute()
    with _orbax().StandardCheckpointer() as checkpointer:
        try:
            return checkpointer.restore(folder, like)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{folder}: no sharded checkpoint of this model ({str(error).splitlines()[0]})") from error


def _orbax() -> Any:
    from importlib import import_module

    try:
        return import_module("orbax.checkpoint")
    except ImportError as error:
        raise missing_extra("clax", "orbax", "a sharded checkpoint") from error


def _shapes(model: ClickModel) -> Params:
    return jax.eval_shape(model.init, jax.random.key(0))


def _named_arrays(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {prefix + _name(path): np.asarray(leaf, order="C") for path, leaf in leaves}


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    if not path.exists():
        raise UserError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged or not a safetensors file ({error})") from error


def _fill(shapes: Any, arrays: Mapping[str, np.ndarray], prefix: str, path: Path) -> Any:
    """A tree of the given shapes, filled with named arrays."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(shapes)
    names = [prefix + _name(place) for place, _ in leaves]
    here = {name for name in arrays if name.startswith(prefix)}
    if odd := sorted(here ^ set(names)):
        raise UserError(f"{path}: does not fit the model: {odd[0]!r} is in only one of the two")
    for name, (_, leaf) in zip(names, leaves, strict=True):
        if arrays[name].shape != leaf.shape:
            raise UserError(
                f"{path}: {name!r} has the shape {arrays[name].shape}, but the model needs {leaf.shape}; "
                "it was fitted to other data"
            )
    return jax.tree.unflatten(structure, [jax.numpy.asarray(arrays[name]) for name in names])
