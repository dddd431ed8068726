"""What every click model can do, and the little that a new one must say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from clax.batch import Batch
from clax.logprob import LogPair, log_bernoulli, observed
from clax.parameters import GlobalParam, Parameter, Params, check_parameter, parameter_penalty

__all__ = ["ClickModel", "PairModel", "Pairs", "Sample", "draw", "log_probability"]

Pairs = dict[str, LogPair]
"""The probabilities of a model's parameters by name, each [B, P]."""


class Sample(NamedTuple):
    """Simulated behaviour.

    Attributes:
        clicks: bool [B, P]; never at a hidden rank.
        latents: what was drawn on the way, by name: examination, attraction, satisfaction, member, ...
    """

    clicks: Bool[jax.Array, "sessions ranks"]
    latents: dict[str, jax.Array]


class ClickModel(ABC):
    """A click model: a frozen dataclass whose fields are parameters, with pure functions over a dictionary of weights.

    Entries of results at hidden ranks are finite but mean nothing. Most models are easiest to write as a
    :class:`PairModel`.
    """

    name: ClassVar[str]
    cell_key: ClassVar[tuple[str, ...] | None] = None
    """The columns that determine a rank's click probability, if clicks at other ranks do not matter beyond them: such a
    model can be trained on counts per distinct combination."""
    constant_relevance: ClassVar[bool] = False
    """Whether all documents get the same relevance, so that ranking by it says nothing."""

    def parameters(self) -> dict[str, Parameter]:
        """The parameters by name, in the order of the fields."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if hasattr(value, "logits")}

    def init(self, key: jax.Array) -> Params:
        """Fresh weights, by parameter."""
        parameters = self.parameters()
        keys = jax.random.split(key, max(len(parameters), 1))
        return {name: p.init(k) for (name, p), k in zip(parameters.items(), keys, strict=False)}

    @abstractmethod
    def conditional_log_probs(self, params: Params, batch: Batch) -> LogPair:
        """(log p, log (1 - p)) of a click at each rank given the clicks above it, each [B, P]."""

    @abstractmethod
    def log_click_probs(self, params: Params, batch: Batch) -> LogPair:
        """(log p, log (1 - p)) of a click at each rank before any click is seen, each [B, P]."""

    @abstractmethod
    def sample(self, params: Params, batch: Batch, key: jax.Array) -> Sample:
        """Draws clicks for the lists of the batch; its own clicks are not read."""

    @abstractmethod
    def relevance(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """The score to rank documents by, a log-probability; [B, P]."""

    def scored_mask(self, batch: Batch) -> Bool[jax.Array, "sessions ranks"]:
        """The ranks whose conditional probability counts in likelihoods; bool [B, P]."""
        return jnp.asarray(batch.mask)

    def session_log_likelihood(self, params: Params, batch: Batch) -> Float[jax.Array, " sessions"]:
        """The log-probability of each session's clicks, [B]; 0 for a session without a valid rank."""
        terms = observed(self.conditional_log_probs(params, batch), batch.clicks)
        terms = jnp.where(self.scored_mask(batch), terms, 0.0)
        return (terms if batch.weights is None else terms * batch.weights).sum(1)

    def penalty(self, params: Params) -> Float[jax.Array, ""]:
        """The negative log prior of all weights, a scalar on the scale of a summed log-likelihood."""
        parts = [parameter_penalty(p, params[name]) for name, p in self.parameters().items()]
        return sum(parts, start=jnp.zeros(()))

    def check(self, batch: Batch) -> None:
        """Refuses, on the host, a batch that some parameter cannot look up.

        Raises:
            UserError: naming the parameter, the value and the limit.
        """
        for name, parameter in self.parameters().items():
            check_parameter(f"{self.name}: {name}", parameter, batch)


class PairModel(ClickModel):
    """A model given by two functions of its parameters' probabilities: conditional and unconditional."""

    def pairs(self, params: Params, batch: Batch) -> Pairs:
        """The parameters' probabilities at every rank."""
        return {name: _pair(p, params[name], batch) for name, p in self.parameters().items()}

    @abstractmethod
    def conditional(self, pairs: Pairs, batch: Batch) -> LogPair:
        """Click probabilities given the clicks above, from the parameters' probabilities; [B, P]."""

    @abstractmethod
    def unconditional(self, pairs: Pairs, batch: Batch) -> LogPair:
        """Click probabilities before any click is seen, from the parameters' probabilities; [B, P]."""

    def conditional_log_probs(self, params: Params, batch: Batch) -> LogPair:
        """(log p, log (1 - p)) of a click at each rank given the clicks above it, each [B, P]."""
        return self.conditional(self.pairs(params, batch), batch)

    def log_click_probs(self, params: Params, batch: Batch) -> LogPair:
        """(log p, log (1 - p)) of a click at each rank before any click is seen, each [B, P]."""
        return self.unconditional(self.pairs(params, batch), batch)


def _pair(parameter: Parameter, params: Params, batch: Batch) -> LogPair:
    if not isinstance(parameter, GlobalParam):
        return log_bernoulli(parameter.logits(params, batch))
    # The logarithms of one number, not of one number per rank.
    yes, no = (jnp.broadcast_to(x, batch.pair_ids.shape) for x in log_bernoulli(params["rows"][0]))
    return LogPair(yes, no)


def draw(key: jax.Array, pair: LogPair) -> Bool[jax.Array, "sessions ranks"]:
    """One independent Bernoulli draw per entry, bool."""
    return jax.random.bernoulli(key, jnp.exp(pair.yes))


def log_probability(parameter: Parameter, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
    """The parameter's log-probability at every rank, [B, P]."""
    return log_bernoulli(parameter.logits(params, batch)).yes
