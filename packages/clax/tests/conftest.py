"""Shared by the tests of clax: the golden parameters, every model with random weights, and enumeration of latents."""

from __future__ import annotations

import itertools
import os

# Most of these tests' time is spent compiling; the arithmetic is the same with less of it.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false"

import functools
from pathlib import Path

import jax
import numpy as np
import pytest
from ir_shared.testing import check_shapes

# Before the first import of the package.
check_shapes(Path(__file__).parents[1] / "src")

jax.config.update("jax_disable_most_optimizations", True)


def logit(p):
    p = np.asarray(p, float)
    return np.log(p) - np.log1p(-p)


ALPHA = (0.2, 0.5, 0.3, 0.7, 0.1)
SIGMA = (0.4, 0.1, 0.6, 0.3, 0.5)
LAMBDA = (0.9, 0.6, 0.5, 0.4, 0.3)
THETA = (0.95, 0.7, 0.5, 0.35, 0.2)


def golden_story():
    """The probabilities of section G1, by rank."""
    ranks = range(1, 6)
    browsing = {(k, n): 1 / (1 + 0.25 * (k - n)) if n else 1 / (1 + 0.15 * k) for k in ranks for n in range(k)}
    return {
        "alpha": ALPHA,
        "sigma": SIGMA,
        "lambda": LAMBDA,
        "theta": THETA,
        "gamma": 0.8,
        "tau": (0.9, 0.7, 0.4),
        "browsing": browsing,
    }


def random_story(ranks, seed, spread=1.5):
    """Random probabilities of every parameter, by rank."""
    generator = np.random.default_rng(seed)

    def draw(*shape):
        return 1 / (1 + np.exp(-generator.normal(0, spread, shape)))

    browsing = {(k, n): float(draw()) for k in range(1, ranks + 1) for n in range(k)}
    return {
        **{name: tuple(draw(ranks)) for name in ("alpha", "sigma", "lambda", "theta")},
        "gamma": float(draw()),
        "tau": tuple(draw(3)),
        "browsing": browsing,
    }


def weights_of(model, story):
    """The weights under which a model tells this story to the list of pairs 1..n."""
    import jax.numpy as jnp
    from clax.models import Mixture

    if isinstance(model, Mixture):
        own = [weights_of(member, story) for member in model.members]
        members = {str(i): {n: p for n, p in w.items() if n not in model.shared} for i, w in enumerate(own)}
        shared = {name: next(w[name] for w in own if name in w) for name in model.shared}
        prior = np.log([0.6, 0.4]) if len(own) == 2 else np.zeros(len(own))
        return {"prior": jnp.asarray(prior, jnp.result_type(float)), "shared": shared, "members": members}
    n = len(story["alpha"])
    matrix = np.full((n + 1, n + 1), 0.5)
    for (k, last), value in story["browsing"].items():
        matrix[k, last] = value
    by_row = {
        "attraction": np.r_[0.5, story["alpha"]],
        "satisfaction": np.r_[0.5, story["sigma"]],
        "pbm.examination": np.r_[0.5, story["theta"]],
        "ubm.examination": matrix.ravel(),
        "dcm.continuation": np.r_[0.5, story["lambda"]],
        "dbn.continuation": [story["gamma"]],
        "after_none": [story["tau"][0]],
        "after_irrelevant": [story["tau"][1]],
        "after_relevant": [story["tau"][2]],
        "gctr.rate": [story["gamma"]],
        "rctr.rate": np.r_[0.5, story["theta"]],
        "dctr.rate": np.r_[0.5, story["alpha"]],
        "drctr.rate": np.outer(np.r_[0.5, story["alpha"]], np.r_[0.5, story["theta"]]).ravel(),
    }
    return {
        name: parameter.from_row_logits(logit(by_row.get(f"{model.name}.{name}", by_row.get(name))))
        for name, parameter in model.parameters().items()
    }


def _steps(name, rank, state, story):
    """The outcomes of one rank as (probability, clicked, next state); state = (examined, position of last click)."""
    alive, last = state
    a, s, g = story["alpha"][rank], story["sigma"][rank], story["gamma"]
    k = rank + 1
    simple = {
        "pbm": a * story["theta"][rank],
        "ubm": a * story["browsing"][k, last],
        "gctr": g,
        "rctr": story["theta"][rank],
        "dctr": a,
        "drctr": a * story["theta"][rank],
    }
    if name in simple:
        yield simple[name], 1, (True, k)
        yield 1 - simple[name], 0, (True, last)
        return
    if not alive:
        yield 1.0, 0, state
        return
    t1, t2, t3 = story["tau"]
    after_none = {"cm": 1.0, "dcm": 1.0, "sdbn": 1.0, "dbn": g, "ccm": t1}[name]
    after_click = {
        "cm": [(1.0, 0.0)],
        "dcm": [(1.0, story["lambda"][rank])],
        "sdbn": [(s, 0.0), (1 - s, 1.0)],
        "dbn": [(s, 0.0), (1 - s, g)],
        "ccm": [(a, t3), (1 - a, t2)],
    }[name]
    for goes_on in (True, False):
        yield (1 - a) * (after_none if goes_on else 1 - after_none), 0, (goes_on, last)
        for chance, stay in after_click:
            yield a * chance * (stay if goes_on else 1 - stay), 1, (goes_on, k)


def enumerate_story(name, story, visible):
    """The probability of every click vector, by walking all latent paths of one model."""
    paths = {((), (True, 0)): 1.0}
    for rank, shown in enumerate(visible):
        following = {}
        for (clicks, state), probability in paths.items():
            outcomes = _steps(name, rank, state, story) if shown else [(1.0, 0, state)]
            for chance, clicked, after in outcomes:
                key = ((*clicks, clicked), after)
                following[key] = following.get(key, 0.0) + probability * chance
        paths = following
    result = dict.fromkeys(itertools.product(*((0, 1) if v else (0,) for v in visible)), 0.0)
    for (clicks, _), probability in paths.items():
        result[clicks] += probability
    return result


@pytest.fixture(scope="session")
def oracle():
    """The functions of this file, for test modules that cannot import it."""

    class Oracle:
        pass

    for function in (logit, golden_story, random_story, weights_of, enumerate_story):
        setattr(Oracle, function.__name__, staticmethod(function))
    return Oracle


@pytest.fixture(scope="session")
def scored():
    """Compiled once per model: (session log-likelihood, conditional and unconditional log-probabilities)."""

    @functools.cache
    def compiled(model):
        def run(params, batch):
            return (
                model.session_log_likelihood(params, batch),
                model.conditional_log_probs(params, batch),
                model.log_click_probs(params, batch),
            )

        return jax.jit(run)

    return lambda model, params, batch: compiled(model)(params, batch)


@pytest.fixture(scope="session")
def small_log():
    """1,500 sessions of a PBM world with 20 queries and 6 positions, and the world."""
    from clax.simulation import make_world

    world = make_world("pbm", queries=20, documents=6, max_positions=6, seed=3)
    return world, world.sessions(1500, seed=4)
