"""Mixtures: every session is browsed by one of several models, and we do not know by which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from ir_shared.console import UserError
from jaxtyping import Float

from clax.batch import Batch
from clax.logprob import LogPair, observed
from clax.models.base import ClickModel, Sample
from clax.models.cascade import CM
from clax.parameters import Parameter, Params, parameter_penalty

__all__ = ["Mixture"]


@dataclass(frozen=True)
class Mixture(ClickModel):
    """Sessions come from member m with probability pi_m.

    Attributes:
        members: any models; a mixture may be a member.
        shared: names of parameters that all members having them share, such as ``("attraction",)``; they must be
            defined alike.
        temperature: inverse temperature beta on the members' session log-likelihoods. For beta other than 1 there is no
            sequential model that sums to 1: it is for training only.
    """

    members: tuple[ClickModel, ...]
    shared: tuple[str, ...] = ()
    temperature: float = 1.0
    name: ClassVar[str] = "mixture"

    def __post_init__(self) -> None:
        if not self.members:
            raise UserError("a mixture needs at least one member")
        if any(isinstance(m, CM) and m.after_first_click == "ignore" for m in self.members):
            raise UserError("a cascade model inside a mixture must keep all ranks: after_first_click='floor'")
        for name in self.shared:
            definitions = [m.parameters()[name] for m in self.members if name in m.parameters()]
            if len(definitions) < 2 or any(d != definitions[0] for d in definitions):
                raise UserError(f"shared parameter {name!r}: at least two members must have it, all defined alike")

    def parameters(self) -> dict[str, Parameter]:
        """The shared parameters."""
        return {
            name: next(m.parameters()[name] for m in self.members if name in m.parameters()) for name in self.shared
        }

    def init(self, key: jax.Array) -> Params:
        """Equal priors, the shared parameters, and every member's own."""
        keys = jax.random.split(key, len(self.members) + 1)
        members = {
            str(i): {name: p for name, p in member.init(keys[i]).items() if name not in self.shared}
            for i, member in enumerate(self.members)
        }
        return {"prior": jnp.zeros(len(self.members)), "shared": super().init(keys[-1]), "members": members}

    def member_params(self, params: Params, i: int) -> Params:
        """The weights of member i, the shared ones among them."""
        theirs = self.members[i].parameters()
        return {**params["members"][str(i)], **{n: p for n, p in params["shared"].items() if n in theirs}}

    def log_prior(self, params: Params) -> Float[jax.Array, " members"]:
        """Log pi, [M]."""
        return jax.nn.log_softmax(params["prior"])

    def session_log_likelihood(self, params: Params, batch: Batch) -> Float[jax.Array, " sessions"]:
        """``logsumexp_m(log pi_m + beta LL_m)``, [B]; 0 for a session without a valid rank."""
        each = jnp.stack(self._each(params, lambda model, own: model.session_log_likelihood(own, batch)))
        total = jax.nn.logsumexp(self.log_prior(params)[:, None] + self.temperature * each, axis=0)
        return jnp.where(batch.mask.any(1), total, 0.0)

    def conditional_log_probs(self, params: Params, batch: Batch) -> LogPair:
        """Weighted by what each member said of the clicks *above* the rank (an exclusive cumulative sum).

        Raises:
            UserError: the temperature is not 1.
        """
        if self.temperature != 1.0:
            raise UserError(
                "a mixture with a temperature other than 1 has no conditional probabilities; "
                "evaluate dataclasses.replace(model, temperature=1.0) with the same weights"
            )
        each = self._each(params, lambda model, own: model.conditional_log_probs(own, batch))
        terms = jnp.stack([jnp.where(batch.mask, observed(pair, batch.clicks), 0.0) for pair in each])
        before = jnp.cumsum(terms, axis=2) - terms
        weights = jax.nn.log_softmax(self.log_prior(params)[:, None, None] + before, axis=0)
        return _weighted(weights, each)

    def log_click_probs(self, params: Params, batch: Batch) -> LogPair:
        """Weighted by the prior."""
        each = self._each(params, lambda model, own: model.log_click_probs(own, batch))
        return _weighted(self.log_prior(params)[:, None, None], each)

    def sample(self, params: Params, batch: Batch, key: jax.Array) -> Sample:
        """One member per session."""
        keys = jax.random.split(key, len(self.members) + 1)
        logits = jnp.broadcast_to(params["prior"], (len(batch.mask), len(self.members)))
        member = jax.random.categorical(keys[-1], logits)
        draws = [m.sample(self.member_params(params, i), batch, keys[i]).clicks for i, m in enumerate(self.members)]
        clicks = jnp.take_along_axis(jnp.stack(draws), member[None, :, None], axis=0)[0]
        return Sample(clicks, {"member": member})

    def relevance(self, params: Params, batch: Batch) -> Float[jax.Array, "sessions ranks"]:
        """``log sum_m pi_m exp(relevance_m)``."""
        each = jnp.stack(self._each(params, lambda model, own: model.relevance(own, batch)))
        return jax.nn.logsumexp(self.log_prior(params)[:, None, None] + each, axis=0)

    def penalty(self, params: Params) -> Float[jax.Array, ""]:
        """Every parameter's once, shared ones too."""
        total = super().penalty(params["shared"])
        for i, member in enumerate(self.members):
            own = params["members"][str(i)]
            if isinstance(member, Mixture):
                total += member.penalty(own)
                continue
            parts = [parameter_penalty(p, own[n]) for n, p in member.parameters().items() if n not in self.shared]
            total += sum(parts, start=jnp.zeros(()))
        return total

    def check(self, batch: Batch) -> None:
        """Every member must be able to look the batch up."""
        for member in self.members:
            member.check(batch)

    def _each(self, params: Params, function: Any) -> list[Any]:
        return [function(member, self.member_params(params, i)) for i, member in enumerate(self.members)]


def _weighted(log_weights: Float[jax.Array, "members _ _"], pairs: list[LogPair]) -> LogPair:
    """``logsumexp_m(log w_m + log p_m)`` for both entries."""
    yes, no = (jnp.stack(entries) for entries in zip(*pairs, strict=True))
    return LogPair(jax.nn.logsumexp(log_weights + yes, axis=0), jax.nn.logsumexp(log_weights + no, axis=0))
