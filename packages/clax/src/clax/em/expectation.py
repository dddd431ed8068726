r"""Expectation-maximisation for every model of tables, by one rule.

A model's likelihood is a sum over latent outcomes of products of probabilities, p or 1 - p, of its parameters. Take p
and 1 - p as variables of their own; then the derivative of the log-likelihood by ``log p`` is the expected number of
times that the event happened, and by ``log (1 - p)`` that it did not (Baum and Welch's counts, from differentiating
the logarithm of a sum of products). So the E-step is one reverse pass through ``model.evidence``, followed by a sum per
row, and the M-step is a share. All in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import jax
import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64

from clax.aggregation import aggregate
from clax.arrays import FloatArray
from clax.batch import Batch
from clax.logprob import ProbPair
from clax.models.base import ClickModel
from clax.parameters import HashedTable, Params, PseudoCounts, Tabular
from clax.steps import initialiser

__all__ = ["EMResult", "Logits", "expected_counts", "fit_em", "prior_of", "share_logits", "tabular_parameters"]

_EXTREME = 69.0

Logits = dict[str, FloatArray]
"""A model's row logits by parameter."""
Counts = dict[str, tuple[FloatArray, FloatArray]]
"""By parameter: how often each row's event happened and did not, [rows] each."""
_Found: TypeAlias = tuple[Any, dict[str, ProbPair]]


@dataclass(frozen=True)
class EMResult:
    """What EM found.

    Attributes:
        params: the model's weights.
        log_likelihood: of the data, summed, before each iteration and after the last.
        objective: the same plus the log prior; it never falls.
    """

    params: Params
    log_likelihood: tuple[float, ...]
    objective: tuple[float, ...]


def fit_em(
    model: ClickModel,
    data: Iterable[Batch],
    *,
    iterations: int = 50,
    tolerance: float = 0.0,
    prior: PseudoCounts | None = None,
    params: Params | None = None,
    seed: int = 0,
    on_iteration: Callable[[int, float], None] | None = None,
    on_weights: Callable[[Params], None] | None = None,
) -> EMResult:
    """Climbs the (penalised) likelihood by expectation-maximisation.

    The data is aggregated first where that is exact (see :mod:`clax.aggregation`).

    Args:
        model: all its parameters must be tables (unsigned hashed ones included).
        data: re-iterable batches.
        iterations: at most so many.
        tolerance: stop when the objective gains less than this per unit of weight (valid rank).
        prior: on every probability, instead of the parameters' own.
        params: where to start, instead of fresh weights.
        seed: of the fresh weights.
        on_iteration: called with the number of iterations done, from 0, and the objective that they reached.
        on_weights: called with each iteration's weights before the next one starts.

    Raises:
        UserError: the model cannot be fitted by EM, or its prior is not one of pseudo-counts.
    """
    parameters = tabular_parameters(model)
    priors = {name: prior_of(parameter, prior) for name, parameter in parameters.items()}
    params = initialiser(model)(jax.random.key(seed)) if params is None else params
    logits = {name: np.asarray(p.row_logits(params[name]), np.float64) for name, p in parameters.items()}
    source = data if model.cell_key is None else [jax.device_put(aggregate(data, model))]
    likelihoods: list[float] = []
    objectives: list[float] = []
    for iteration in range(iterations + 1):
        total, weight, counts = expected_counts(model, logits, source if iteration else _checked(model, source))
        likelihoods.append(total)
        objectives.append(total + _log_prior(parameters, priors, logits))
        if on_iteration is not None:
            on_iteration(iteration, objectives[-1])
        if on_weights is not None:
            on_weights(_weights(parameters, logits))
        done = iteration > 0 and objectives[-1] - objectives[-2] < tolerance * weight
        if iteration == iterations or done:
            break
        logits = {name: share_logits(*counts[name], priors[name], logits[name]) for name in parameters}
    return EMResult(_weights(parameters, logits), tuple(likelihoods), tuple(objectives))


def expected_counts(model: ClickModel, logits: Logits, data: Iterable[Batch]) -> tuple[float, float, Counts]:
    """The E-step over all data.

    Args:
        model: any model of tables.
        logits: of its rows.
        data: batches that fit the model.

    Returns:
        The log-likelihood, the number of valid ranks, and by parameter the expected numbers of events and non-events of
        each row.

    Raises:
        UserError: there is no valid rank.
    """
    weight = 0.0
    with jax.enable_x64(True):
        tables = {name: ProbPair(*_shares(x)) for name, x in logits.items()}
        found: _Found = (np.zeros(()), jax.tree.map(np.zeros_like, tables))
        for batch in data:
            mask = np.asarray(batch.mask)
            weight += float(mask.sum() if batch.weights is None else (np.asarray(batch.weights) * mask).sum())
            found = _e_step(model, tables, found, batch)
    if not weight:
        raise UserError("the data holds no session with a valid rank, or is a generator, which cannot be read twice")
    # What was summed are slopes by a row's probability; by its logarithm they are that times the probability.
    counts = {
        name: (np.asarray(slope.yes) * tables[name].yes, np.asarray(slope.no) * tables[name].no)
        for name, slope in found[1].items()
    }
    return float(found[0]), weight, counts


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def _e_step(model: Any, tables: dict[str, ProbPair], found: _Found, batch: Batch) -> _Found:
    """Adds a batch's log-likelihood, and its slopes by the probabilities of all rows, to what was found before."""
    indices = {name: p.index(batch) for name, p in tabular_parameters(model).items()}
    pairs = {name: ProbPair(*(entry[indices[name]] for entry in table)) for name, table in tables.items()}
    total, slopes = jax.value_and_grad(lambda x: model.evidence(x, batch).sum())(pairs)

    def by_row(name: str, before: jax.Array, values: jax.Array) -> jax.Array:
        return before + values.sum() if before.shape == (1,) else before.at[indices[name]].add(values)

    before, sums = found
    return before + total, {
        name: ProbPair(*(by_row(name, old, new) for old, new in zip(sums[name], slope, strict=True)))
        for name, slope in slopes.items()
    }


def _checked(model: ClickModel, data: Iterable[Batch]) -> Iterator[Batch]:
    for batch in data:
        model.check(batch)
        yield batch


def _shares(logits: FloatArray) -> tuple[Any, Any]:
    """Probabilities and complements, no smaller than 1e-30, so that products of a few of them stay above 0."""
    x = np.clip(logits, -_EXTREME, _EXTREME)
    return 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))


def tabular_parameters(model: ClickModel) -> dict[str, Tabular]:
    """The model's parameters, all of which must be tables.

    Raises:
        UserError: one is not, or the model has no evidence function (a mixture).
    """
    if not hasattr(model, "evidence"):
        raise UserError(f"{model.name} cannot be fitted by EM; train it by gradient")
    parameters = model.parameters()
    for name, parameter in parameters.items():
        if not isinstance(parameter, Tabular) or (isinstance(parameter, HashedTable) and parameter.signed):
            kind = type(parameter).__name__
            raise UserError(f"{model.name}: {name} is a {kind}, but EM and counting need tables; train it by gradient")
    return parameters  # type: ignore[return-value]


def prior_of(parameter: Tabular, prior: PseudoCounts | None) -> PseudoCounts:
    """The pseudo-counts to use: those given, else the parameter's own, else none.

    Raises:
        UserError: the parameter's prior is of another kind.
    """
    prior = prior or parameter.prior  # type: ignore[assignment]
    if prior is None:
        return PseudoCounts(0.0, 0.0)
    if not isinstance(prior, PseudoCounts):
        raise UserError("EM and counting take pseudo-counts as prior; an L2 prior needs training by gradient")
    return prior


def share_logits(
    yes: Float64[FloatArray, " rows"],
    no: Float64[FloatArray, " rows"],
    prior: PseudoCounts,
    unseen: Float64[FloatArray, " rows"],
) -> Float64[FloatArray, " rows"]:
    """The logits of (successes + yes) / (all); rows without any count keep theirs.

    A share of exactly 0 or 1 gets a logit of about 690, which is still finite.
    """
    yes, no = yes + prior.successes, no + prior.failures
    logits = np.log(np.maximum(yes, 1e-300)) - np.log(np.maximum(no, 1e-300))
    return np.where(yes + no > 0, logits, unseen)


def _weights(parameters: dict[str, Tabular], logits: Logits) -> Params:
    return {name: parameter.from_row_logits(logits[name]) for name, parameter in parameters.items()}


def _log_prior(parameters: dict[str, Tabular], priors: dict[str, PseudoCounts], logits: Logits) -> float:
    total = 0.0
    for name, parameter in parameters.items():
        x = logits[name][int(parameter.padding) :]
        total -= float(
            priors[name].successes * np.logaddexp(0, -x).sum() + priors[name].failures * np.logaddexp(0, x).sum()
        )
    return total
