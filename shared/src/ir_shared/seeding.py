"""One call that makes a run repeatable: python, numpy and, where it is already loaded, torch.

jax has no global state to seed: its key comes with the returned :class:`Seeds`.
"""

from __future__ import annotations

import operator
import random
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ir_shared.console import UserError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Seeds", "seed_everything"]

_LIMIT = 2**32  # numpy's global generator takes no larger seed


@dataclass(frozen=True)
class Seeds:
    """The sources of randomness that are passed along rather than seeded globally.

    Attributes:
        seed: the seed.
        numpy: a generator of its own, not touched by ``numpy.random``'s global functions.
    """

    seed: int
    numpy: np.random.Generator

    def jax_key(self) -> Any:
        """The jax key of this seed, the same at every call; imports jax.

        Raises:
            UserError: jax is not installed.
        """
        try:
            return import_module("jax").random.key(self.seed)
        except ModuleNotFoundError as error:
            raise UserError("a jax key needs jax, which is not installed: install jax") from error


def seed_everything(seed: int) -> Seeds:
    """Seeds ``random``, numpy's global generator and, if it is loaded already, torch on the CPU and every GPU.

    Nothing is imported for it, so call it after the imports, before any work.

    Args:
        seed: from 0 to 2^32 - 1.

    Raises:
        UserError: the seed is no whole number or out of range.
    """
    import numpy as np

    try:
        seed = operator.index(seed)
    except TypeError:
        raise UserError(f"seed {seed!r}: not a whole number; give one from 0 to {_LIMIT - 1}") from None
    if not 0 <= seed < _LIMIT:
        raise UserError(f"seed {seed}: out of range; give one from 0 to {_LIMIT - 1}")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that draw from the global generator must repeat as well
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)  # seeds every CUDA device too
    return Seeds(seed=seed, numpy=np.random.default_rng(seed))
