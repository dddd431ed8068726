"""The model that a configuration asks for, sized for a log and for this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import jax
from ir_shared.console import UserError

from clax.config import FitConfig
from clax.data.session_data import SessionData
from clax.models import ClickModel, build_model
from clax.parameters import MLP, DeepCross, HashedTable, Linear, Parameter, PseudoCounts, QRTable, Table

__all__ = ["make_model"]

_COPIES = 4
"""Weights, two moments of the optimiser, and the best weights so far."""


def make_model(config: FitConfig, data: SessionData) -> ClickModel:
    """The model that a configuration asks for, sized for a log.

    Raises:
        UserError: no such model, features are missing, or its tables do not fit into memory.
    """
    prior = None
    if config.prior.successes or config.prior.failures:
        prior = PseudoCounts(config.prior.successes, config.prior.failures)
    kind = config.pairs.kind
    if kind in ("linear", "mlp", "deep-cross"):
        width = _feature_width(data)
        model = _build(config, data, prior, lambda: _network(config, width))
    elif kind == "table":
        model = _build(config, data, prior, lambda: Table(data.num_pairs, prior))
    else:
        model = _build(config, data, prior, lambda: _compressed(config, data.num_pairs, prior))
    _check_memory(model)
    return model


def _build(
    config: FitConfig, data: SessionData, prior: PseudoCounts | None, pairs: Callable[[], Parameter]
) -> ClickModel:
    return build_model(config.model, data.num_pairs, data.max_positions, prior=prior, pair_parameter=pairs)


def _network(config: FitConfig, width: int) -> Parameter:
    if config.pairs.kind == "linear":
        return Linear(width)
    if config.pairs.kind == "mlp":
        return MLP(width, hidden=config.pairs.hidden)
    return DeepCross(width, hidden=config.pairs.hidden)


def _compressed(config: FitConfig, num_pairs: int, prior: PseudoCounts | None) -> Parameter:
    if config.pairs.kind == "hashed":
        return HashedTable(num_pairs, config.pairs.ratio, config.seed, prior=prior)
    if prior is not None:
        raise UserError("pseudo-counts need a row for each probability, which a quotient-remainder table has not")
    return QRTable(num_pairs, config.pairs.ratio)


def _feature_width(data: SessionData) -> int:
    first = next(iter(replace(data, read_ahead=False, shuffle=None).batched(1)))
    if first.features is None:
        raise UserError("the log has no features; use a table, or name their column as [data.columns] features")
    return int(first.features.shape[-1])


def _check_memory(model: ClickModel) -> None:
    """Refuses, before anything is allocated, tables that this machine cannot hold."""
    shapes = jax.tree.leaves(jax.eval_shape(model.init, jax.random.key(0)))
    needed = _COPIES * sum(x.size * x.dtype.itemsize for x in shapes)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory and jax.default_backend() == "cpu":
        raise UserError(
            f"the model's {sum(x.size for x in shapes):,} weights need {needed / 2**30:.0f} GiB with their optimiser, "
            f'but this machine has {memory / 2**30:.0f}: share rows with [pairs] kind = "hashed"'
        )
