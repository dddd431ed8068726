"""A learning-to-rank data set in its three splits, read from a folder and prepared alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ir_shared.console import UserError

from twotower_ident.letor import RankingData, prepare, read_letor

if TYPE_CHECKING:
    from twotower_ident.user_models import SyntheticLabels

__all__ = ["Splits", "read_splits"]

_NAMES = {"train": ("train",), "validation": ("vali", "valid", "validation"), "test": ("test",)}


@dataclass(frozen=True, eq=False)
class Splits:
    """Training, validation and test documents with the same features."""

    train: RankingData
    validation: RankingData
    test: RankingData

    def labelled(self, labels: SyntheticLabels) -> Splits:
        """The same documents with synthetic labels, one function for all splits."""
        return Splits(labels.label(self.train), labels.label(self.validation), labels.label(self.test))

    def with_columns(self, columns: str) -> Splits:
        """Only some features."""
        return Splits(*(part.with_columns(columns) for part in (self.train, self.validation, self.test)))


def read_splits(folder: str | Path, *, k: int = 25, log: bool = True, n_features: int | None = None) -> Splits:
    """Reads ``train``, ``vali`` (or ``valid``) and ``test``, as ``.txt`` or ``.txt.gz``, and prepares them.

    Args:
        folder: e.g. ``Fold1`` of MSLR-WEB30K, or one with Yahoo's ``set1.train.txt`` and so on.
        k: documents to keep of a query.
        log: whether to take signed logarithms; see :func:`twotower_ident.letor.prepare`.
        n_features: number of features, where a split does not name the last ones.

    Raises:
        UserError: a split is missing, or the splits differ in their features.
    """
    folder = Path(folder)
    parts = [
        prepare(read_letor(_find(folder, names), n_features=n_features, k=k), k=k, log=log) for names in _NAMES.values()
    ]
    widths = [part.features.shape[1] for part in parts]
    if len(set(widths)) > 1:
        shown = ", ".join(f"{name} {width}" for name, width in zip(_NAMES, widths, strict=True))
        raise UserError(f"{folder}: the splits differ in their number of features ({shown}); declare --n-features")
    return Splits(*parts)


def _find(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        for pattern in (f"{name}.txt", f"{name}.txt.gz", f"*.{name}.txt", f"*.{name}.txt.gz"):
            if found := sorted(folder.glob(pattern)):
                return found[0]
    raise UserError(f"{folder}: holds no {names[0]}.txt; give a folder with train.txt, vali.txt and test.txt")
