"""The cascade family: CM, DCM, CCM, DBN and SDBN, five ways to say when the user goes on."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

import jax
import jax.numpy as jnp
from ir_shared.console import UserError
from jaxtyping import Bool, Float

from clax.batch import Batch, last_click_positions
from clax.logprob import AnyPair, LogPair
from clax.models.base import PairModel, Pairs, Sample, draw, log_probability
from clax.models.chain import (
    Transitions,
    conditional_clicks,
    draw_examination,
    unconditional_clicks,
)
from clax.models.evidence import ProbPairs, chain_evidence, click_evidence
from clax.parameters import GlobalParam, Parameter, Params

__all__ = ["CCM", "CM", "DBN", "DCM", "SDBN", "ChainModel"]

_FLOOR_PROBABILITY = 1e-8

Draws: TypeAlias = tuple[
    Bool[jax.Array, "sessions ranks"], Bool[jax.Array, "sessions ranks"], dict[str, Bool[jax.Array, "sessions ranks"]]
]
"""At every rank: goes on after no click, goes on after a click, and the latents behind them by name."""


class ChainModel(PairModel):
    """What the family shares; a member says its transitions and how to draw them."""

    attraction: Parameter

    @abstractmethod
    def transitions(self, pairs: dict[str, AnyPair]) -> Transitions[AnyPair]:
        """The probabilities of going on, from the parameters' probabilities."""

    @abstractmethod
    def draw_transitions(self, pairs: Pairs, key: jax.Array) -> Draws:
        """Draws whether the user goes on, at every rank."""

    def conditional(self, pairs: Pairs, batch: Batch) -> LogPair:
        """By the filter of :mod:`clax.models.chain`."""
        return conditional_clicks(pairs["attraction"], self.transitions(pairs), batch)

    def unconditional(self, pairs: Pairs, batch: Batch) -> LogPair:
        """By the recursion of :mod:`clax.models.chain`."""
        return unconditional_clicks(pairs["attraction"], self.transitions(pairs), batch)

    def evidence(self, pairs: ProbPairs, batch: Batch) -> Float[jax.Array, " sessions"]:
        """By the forward algorithm."""
        return chain_evidence(pairs["attraction"], self.transitions(pairs), batch)

    def sample(self, params: Params, batch: Batch, key: jax.Array) -> Sample:
        """Attraction and going on drawn at every rank; what lies after the user has left has no effect."""
        pairs = self.pairs(params, batch)
        keys = jax.random.split(key)
        attraction = draw(keys[0], pairs["attraction"])
        after_none, after_click, latents = self.draw_transitions(pairs, keys[1])
        examination = draw_examination(attraction, after_none, after_click, batch.mask)
        clicks = examination & attraction & batch.mask
        return Sample(clicks, {"attraction": attraction, "examination": examination, **latents})

    def relevance(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """Log alpha."""
        return log_probability(self.attraction, params["attraction"], batch)


@dataclass(frozen=True)
class CM(ChainModel):
    """Cascade model: scan until the first click, then leave (Craswell et al., WSDM 2008).

    Under it a second click is impossible, so its log-probability is minus infinity; ``after_first_click`` chooses what
    to do with the ranks below the first click.

    Attributes:
        attraction: alpha.
        after_first_click: ``"floor"`` gives a later click probability 1e-8; ``"ignore"`` leaves those ranks out of the
            likelihood and of all metrics built on conditional probabilities.
    """

    attraction: Parameter
    after_first_click: Literal["floor", "ignore"] = "floor"
    name: ClassVar[str] = "cm"

    def __post_init__(self) -> None:
        if self.after_first_click not in ("floor", "ignore"):
            raise UserError(f"after_first_click is {self.after_first_click!r}; choose 'floor' or 'ignore'")

    def transitions(self, pairs: dict[str, AnyPair]) -> Transitions[AnyPair]:
        """On after no click, away after a click."""
        return Transitions(None, pairs["attraction"].never())

    def draw_transitions(self, pairs: Pairs, key: jax.Array) -> Draws:  # noqa: ARG002
        """Nothing is random."""
        on = jnp.ones_like(pairs["attraction"].yes, dtype=bool)
        return on, ~on, {}

    def conditional(self, pairs: Pairs, batch: Batch) -> LogPair:
        """Alpha up to and at the first click, the floor below it.

        Not alpha times the chance to get there: that there is no click above says that the user got there.
        """
        below = last_click_positions(batch) > 0
        floor = LogPair(jnp.log(_FLOOR_PROBABILITY), jnp.log1p(-_FLOOR_PROBABILITY))
        return LogPair(*(jnp.where(below, f, x) for f, x in zip(floor, pairs["attraction"], strict=True)))

    def evidence(self, pairs: ProbPairs, batch: Batch) -> Float[jax.Array, " sessions"]:
        """The click is the only event, and there is none below the first one."""
        return click_evidence(pairs["attraction"], batch.mask & (last_click_positions(batch) == 0), batch)

    def scored_mask(self, batch: Batch) -> Bool[jax.Array, "sessions ranks"]:
        """All valid ranks, or with ``"ignore"`` those up to the first click."""
        if self.after_first_click == "floor":
            return jnp.asarray(batch.mask)
        return jnp.asarray(batch.mask & (last_click_positions(batch) == 0))


@dataclass(frozen=True)
class DCM(ChainModel):
    """Dependent click model: after a click at position k go on with lambda_k (Guo et al., WSDM 2009).

    Attributes:
        attraction: alpha.
        continuation: lambda, by position.
    """

    attraction: Parameter
    continuation: Parameter
    name: ClassVar[str] = "dcm"

    def transitions(self, pairs: dict[str, AnyPair]) -> Transitions[AnyPair]:
        """k0 = 1, k1 = lambda."""
        return Transitions(None, pairs["continuation"])

    def draw_transitions(self, pairs: Pairs, key: jax.Array) -> Draws:
        """Continuation."""
        goes_on = draw(key, pairs["continuation"])
        return jnp.ones_like(goes_on), goes_on, {"continuation": goes_on}


@dataclass(frozen=True)
class CCM(ChainModel):
    """Click chain model: go on with tau1 after no click, with alpha tau3 + (1 - alpha) tau2 after one (WWW 2009).

    Attributes:
        attraction: alpha; also the chance that a clicked document was relevant.
        after_none: tau1.
        after_irrelevant: tau2.
        after_relevant: tau3.
    """

    attraction: Parameter
    after_none: Parameter = field(default_factory=GlobalParam)
    after_irrelevant: Parameter = field(default_factory=GlobalParam)
    after_relevant: Parameter = field(default_factory=GlobalParam)
    name: ClassVar[str] = "ccm"

    def transitions(self, pairs: dict[str, AnyPair]) -> Transitions[AnyPair]:
        """k0 = tau1, k1 = alpha tau3 + (1 - alpha) tau2."""
        after_click = pairs["attraction"].choose(pairs["after_relevant"], pairs["after_irrelevant"])
        return Transitions(pairs["after_none"], after_click)

    def draw_transitions(self, pairs: Pairs, key: jax.Array) -> Draws:
        """The three continuations, and whether a clicked document is relevant (a draw of its own)."""
        keys = jax.random.split(key, 4)
        relevant = draw(keys[0], pairs["attraction"])
        after_relevant, after_irrelevant = (
            draw(keys[1], pairs["after_relevant"]),
            draw(keys[2], pairs["after_irrelevant"]),
        )
        after_click = jnp.where(relevant, after_relevant, after_irrelevant)
        return draw(keys[3], pairs["after_none"]), after_click, {"relevance": relevant}


@dataclass(frozen=True)
class DBN(ChainModel):
    """Dynamic Bayesian network: a click satisfies with sigma; an unsatisfied user goes on with gamma (WWW 2009).

    Attributes:
        attraction: alpha.
        satisfaction: sigma.
        continuation: gamma.
    """

    attraction: Parameter
    satisfaction: Parameter
    continuation: Parameter = field(default_factory=GlobalParam)
    name: ClassVar[str] = "dbn"

    def transitions(self, pairs: dict[str, AnyPair]) -> Transitions[AnyPair]:
        """k0 = gamma, k1 = gamma (1 - sigma)."""
        s, g = pairs["satisfaction"], pairs["continuation"]
        return Transitions(g, s.flipped().both(g))

    def draw_transitions(self, pairs: Pairs, key: jax.Array) -> Draws:
        """Satisfaction and continuation."""
        keys = jax.random.split(key)
        satisfied, goes_on = draw(keys[0], pairs["satisfaction"]), draw(keys[1], pairs["continuation"])
        return goes_on, goes_on & ~satisfied, {"satisfaction": satisfied, "continuation": goes_on}

    def relevance(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """Log alpha + log sigma."""
        attraction = log_probability(self.attraction, params["attraction"], batch)
        return attraction + log_probability(self.satisfaction, params["satisfaction"], batch)


@dataclass(frozen=True)
class SDBN(ChainModel):
    """Simplified DBN: an unsatisfied user always goes on (gamma = 1).

    Attributes:
        attraction: alpha.
        satisfaction: sigma.
    """

    attraction: Parameter
    satisfaction: Parameter
    name: ClassVar[str] = "sdbn"

    def transitions(self, pairs: dict[str, AnyPair]) -> Transitions[AnyPair]:
        """k0 = 1, k1 = 1 - sigma."""
        return Transitions(None, pairs["satisfaction"].flipped())

    def draw_transitions(self, pairs: Pairs, key: jax.Array) -> Draws:
        """Satisfaction."""
        satisfied = draw(key, pairs["satisfaction"])
        return jnp.ones_like(satisfied), ~satisfied, {"satisfaction": satisfied}

    def relevance(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """Log alpha + log sigma."""
        attraction = log_probability(self.attraction, params["attraction"], batch)
        return attraction + log_probability(self.satisfaction, params["satisfaction"], batch)
