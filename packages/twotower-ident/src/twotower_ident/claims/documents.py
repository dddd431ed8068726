"""The documents that the claims are measured on: real MSLR rows, or at ``quick`` without data a stand-in.

The rows are those of :mod:`twotower_ident.mslr`. ``quick`` may not use the network, so there they are read only where
``--data`` holds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from ir_shared.claims import Context, Need, NeedsData
from ir_shared.console import UserError

from twotower_ident.generators import gaussian_letor
from twotower_ident.letor import MSLR_FEATURES, RankingData, prepare, read_letor
from twotower_ident.mslr import fetch_mslr_sample

__all__ = ["NEEDS", "Documents", "documents"]

_FOLDER = "mslr-sample"
_FILES: Final = {split: f"{_FOLDER}/msn1.fold1.{split}.5k.txt" for split in ("train", "test")}
_QUERIES = {"train": 41, "test": 43}
_SPREAD = 0.8

NEEDS = tuple(
    Need(path, f"the first 5,000 lines of MSLR-WEB30K fold 1, {split}, out of rankeval 0.8.2's source archive")
    for split, path in _FILES.items()
)
"""What is read in place of the stand-in; from ``laptop`` on it is fetched where ``--data`` does not hold it."""


@dataclass(frozen=True, eq=False)
class Documents:
    """Documents of the training and of the test queries.

    Attributes:
        train: clicks are simulated on these.
        test: rankings are evaluated on these.
        data: what they are, for the report.
    """

    train: RankingData
    test: RankingData
    data: str

    @property
    def right(self) -> RankingData:
        """The training documents with labels that a linear tower can express: 2 + 0.8 standardised xᵀw."""
        weights = np.random.default_rng(0).standard_normal(self.train.features.shape[1])
        utility = self.train.features @ weights
        return self.train.with_labels(2 + _SPREAD * (utility - utility.mean()) / utility.std())


def documents(context: Context) -> Documents:
    """The rows below ``--data``, else from the published archive, else (at ``quick``) the stand-in.

    Raises:
        NeedsData: the archive cannot be fetched.
    """
    if all(context.has_data(path) for path in _FILES.values()):
        return _real(*(context.data(path) for path in _FILES.values()))
    if context.scale == "quick":
        return _stand_in()
    try:
        return _real(fetch_mslr_sample("train"), fetch_mslr_sample("test"))
    except UserError as error:
        raise NeedsData(f"{_FOLDER}/ below --data, or the network: {error}") from error


@lru_cache(maxsize=1)
def _real(train: Path, test: Path) -> Documents:
    first, second = (prepare(read_letor(path, n_features=MSLR_FEATURES)) for path in (train, test))
    return Documents(first, second, "MSLR-WEB30K, 41 training and 43 test queries, 25 documents each (real)")


@lru_cache(maxsize=1)
def _stand_in() -> Documents:
    total = gaussian_letor(n_queries=sum(_QUERIES.values()), kind="tanh", seed=0)
    rows = np.arange(len(total.labels))
    first = _QUERIES["train"]
    train, test = total.take(rows[total.query < first]), total.take(rows[total.query >= first])
    return Documents(train, test, "stand-in for MSLR: as many queries and documents, 20 normal features (synthetic)")
