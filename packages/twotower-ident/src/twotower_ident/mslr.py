"""Real MSLR-WEB30K rows that a published package carries: the first 5,000 lines of fold 1's train and test files.

They come out of the source archive of rankeval 0.8.2, which is downloaded once, checked and never installed. The rows
have a research licence of their own: use them, do not pass them on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from ir_shared.sample_data import fetch_member

from twotower_ident.letor import MSLR_FEATURES, RankingData, prepare, read_letor

__all__ = ["fetch_mslr_sample", "mslr_sample"]

_SHA256: Final = "c7d71602ab7fe0a0281976c1f0e883cb16431f72e4e946e5fd83790449bb21a9"
_BUILD_NEEDS: Final = ("setuptools", "wheel", "numpy", "scipy", "cython")
"""What the archive's build script imports, which pip runs to read the metadata."""


def fetch_mslr_sample(split: Literal["train", "test"]) -> Path:
    """The file of a split, 5,000 lines; the network is needed the first time.

    Raises:
        UserError: it cannot be downloaded.
    """
    member = f"rankeval-0.8.2/rankeval/test/data/msn1.fold1.{split}.5k.txt"
    return fetch_member("rankeval", "0.8.2", member, sha256=_SHA256, kind="sdist", build_needs=_BUILD_NEEDS)


def mslr_sample(split: Literal["train", "test"]) -> RankingData:
    """The documents of a split, prepared as the paper does: 41 queries x 25 (train) or 43 x 25 (test)."""
    return prepare(read_letor(fetch_mslr_sample(split), n_features=MSLR_FEATURES))
