"""Synthetic logs with known truth: a world of queries and documents, and sessions drawn from any model in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64

from clax.arrays import FloatArray
from clax.batch import Batch, make_batch
from clax.models import ClickModel, Mixture, Sample, build_model
from clax.parameters import Parameter, Params, Tabular

__all__ = ["World", "make_world"]

_CHUNK = 65_536
_ZIPF = 1.3


@dataclass(frozen=True)
class World:
    """A model with its true weights, and the queries that users ask.

    Query q (from 0) has documents q * documents + 1 .. (q + 1) * documents as its pairs.

    Attributes:
        model: the true model.
        params: its true weights.
        attraction: the documents' true alpha, [queries, documents]; also what the logged ranking sorts by.
        popularity: probability of each query, [queries].
        max_positions: how many documents are shown.
    """

    model: ClickModel
    params: Params
    attraction: Float64[FloatArray, "queries documents"]
    popularity: Float64[FloatArray, " queries"]
    max_positions: int

    @property
    def num_pairs(self) -> int:
        """Pairs are 1..num_pairs."""
        return self.attraction.size

    def sessions(self, n: int, *, confounding: float = 0.0, seed: int = 0) -> Batch:
        """Draws n sessions as one batch on the host; see :meth:`stream`."""
        parts = list(self.stream(n, confounding=confounding, seed=seed))
        columns = zip(*parts, strict=True)
        return Batch(*(None if column[0] is None else np.concatenate(column) for column in columns))

    def stream(self, n: int, *, confounding: float = 0.0, seed: int = 0, chunk: int = _CHUNK) -> Iterator[Batch]:
        """Draws n sessions in chunks, with the same memory whatever n.

        Args:
            n: how many sessions.
            confounding: probability that a session's ranking sorts by the true alpha instead of at random. At 0
                position and relevance can be told apart, at 1 they cannot.
            seed: of everything drawn.
            chunk: sessions at a time.

        Yields:
            Batches with query_ids (from 0) and labels (the true alpha).

        Raises:
            UserError: confounding is no probability, or n is not positive.
        """
        if not 0 <= confounding <= 1 or n < 1:
            raise UserError(f"{n} sessions with confounding {confounding}: must be >= 1 and within 0..1")
        generator = np.random.default_rng(seed)
        keys = jax.random.key(seed)
        draw, chunk = _sampler(self.model), min(chunk, n)
        for number, start in enumerate(range(0, n, chunk)):
            lists = self._lists(chunk, confounding, generator)
            sample = draw(self.params, lists, jax.random.fold_in(keys, number))
            rows = min(chunk, n - start)
            whole = lists._replace(clicks=np.asarray(sample.clicks))
            yield Batch(*(None if x is None else x[:rows] for x in whole))

    def _lists(self, n: int, confounding: float, generator: np.random.Generator) -> Batch:
        queries = generator.choice(len(self.popularity), n, p=self.popularity)
        alpha = self.attraction[queries]
        at_random = generator.random(alpha.shape)
        sorts = generator.random((n, 1)) < confounding
        order = np.argsort(np.where(sorts, -alpha, at_random), axis=1)[:, : self.max_positions]
        pairs = queries[:, None] * alpha.shape[1] + order + 1
        return make_batch(pairs, query_ids=queries, labels=np.take_along_axis(alpha, order, 1))


def make_world(name: str, *, queries: int = 100, documents: int = 10, max_positions: int = 10, seed: int = 0) -> World:
    """A world for a model by name.

    Popularity is Zipf(1.3) over the queries; alpha ~ Beta(1, 3), sigma ~ Beta(2, 2); theta_k = k^-0.8; gamma = 0.8;
    lambda_k = 0.9 - 0.05 (k - 1), at least 0.05; tau = (0.9, 0.7, 0.4); UBM's theta_{k,l} = 1 / (1 + 0.25 (k - l))
    after a click at l, 1 / (1 + 0.15 k) before any. Click-through rates are what follows from these: theta's mean times
    alpha's (global), theta_k times alpha's mean, alpha, theta_k alpha. Members of a mixture (``"pbm+dbn"``) have prior
    (0.6, 0.4), or equal ones if they are not two.

    Args:
        name: a model's name, see :func:`clax.models.build_model`.
        queries: how many.
        documents: of each query.
        max_positions: how many of them are shown.
        seed: of alpha and sigma.

    Raises:
        UserError: no such model, or fewer documents than positions.
    """
    if documents < max_positions or queries < 1 or max_positions < 1:
        raise UserError(f"{queries} queries with {documents} documents for {max_positions} positions: too few")
    generator = np.random.default_rng(seed)
    alpha = generator.beta(1, 3, (queries, documents))
    sigma = generator.beta(2, 2, (queries, documents))
    truth = _truths(alpha.ravel(), sigma.ravel(), max_positions)
    model = build_model(name, alpha.size, max_positions)
    popularity = np.arange(1, queries + 1) ** -_ZIPF
    return World(model, _weights(model, truth), alpha, popularity / popularity.sum(), max_positions)


@lru_cache(maxsize=32)
def _sampler(model: ClickModel) -> Callable[..., Sample]:
    return jax.jit(model.sample)


def _truths(
    alpha: Float64[FloatArray, " pairs"], sigma: Float64[FloatArray, " pairs"], max_positions: int
) -> dict[str, Float64[FloatArray, " rows_of_each"]]:
    """True probabilities of rows, by model and parameter or by parameter alone."""
    k = np.arange(max_positions + 1)
    theta = np.maximum(k, 1) ** -0.8
    after, position = k[None, :], k[:, None]
    steps = np.maximum(position - after, 0)
    alpha, sigma = np.r_[0.5, alpha], np.r_[0.5, sigma]
    return {
        "attraction": alpha,
        "satisfaction": sigma,
        "pbm.examination": theta,
        "ubm.examination": np.where(after > 0, 1 / (1 + 0.25 * steps), 1 / (1 + 0.15 * position)).ravel(),
        "dcm.continuation": np.maximum(0.9 - 0.05 * (k - 1), 0.05),
        "dbn.continuation": np.array([0.8]),
        "after_none": np.array([0.9]),
        "after_irrelevant": np.array([0.7]),
        "after_relevant": np.array([0.4]),
        "gctr.rate": np.array([theta[1:].mean() * alpha[1:].mean()]),
        "rctr.rate": theta * alpha[1:].mean(),
        "dctr.rate": alpha,
        "drctr.rate": (alpha[:, None] * theta).ravel(),
    }


def _weights(model: ClickModel, truth: dict[str, FloatArray]) -> Params:
    if isinstance(model, Mixture):
        own = [_weights(member, truth) for member in model.members]
        prior = np.log([0.6, 0.4]) if len(own) == 2 else np.zeros(len(own))
        return {
            "prior": jnp.asarray(prior, jnp.result_type(float)),
            "shared": {name: next(p[name] for p in own if name in p) for name in model.shared},
            "members": {str(i): {n: x for n, x in p.items() if n not in model.shared} for i, p in enumerate(own)},
        }
    return {
        name: _from_probabilities(parameter, truth.get(f"{model.name}.{name}", truth.get(name)))
        for name, parameter in model.parameters().items()
    }


def _from_probabilities(parameter: Parameter, probabilities: Float64[FloatArray, " rows"] | None) -> Params:
    assert isinstance(parameter, Tabular)
    assert probabilities is not None
    # A probability of 1 (theta_1, UBM's unused cells) has no finite logit; at 17 its complement is below float32.
    clipped = np.clip(probabilities, 1e-9, 1 - 4e-8)
    return parameter.from_row_logits(np.log(clipped) - np.log1p(-clipped))
