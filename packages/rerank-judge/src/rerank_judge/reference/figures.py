"""Reading published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ir_shared.console import UserError
from ir_shared.toml_config import TomlFile

__all__ = ["Figures", "Published", "read_reference"]

_PUBLISHED = Path(__file__).with_name("deep_learning.toml")


@dataclass(frozen=True)
class Figures:
    """A judge's published kappas, None where there are none.

    Attributes:
        direct: kappa of its own decisions.
        threshold: the threshold selected elsewhere.
        kappa: kappa at that threshold.
    """

    direct: float | None = None
    threshold: float | None = None
    kappa: float | None = None


@dataclass(frozen=True)
class Published:
    """The published figures of one collection.

    Attributes:
        selected_on: name of the collection on which the thresholds were selected.
        judges: figures by judge.
    """

    selected_on: str = ""
    judges: Mapping[str, Figures] = field(default_factory=dict)


def read_reference(path: str | Path) -> dict[str, Published]:
    """Reads figures by collection; the path "published" means those of the paper, which come with the package.

    Raises:
        UserError: the file is missing, no TOML, or holds an unknown key.
    """
    document = TomlFile.read(_PUBLISHED if str(path) == "published" else path).document
    try:
        return {name: _published(table) for name, table in document.items()}
    except (AttributeError, TypeError, ValueError) as error:
        form = "[collection] selected_on, [collection.judges] name = { direct, threshold, kappa }"
        raise UserError(f"{path}: not a file of figures ({error}); expected {form}") from error


def _published(table: Mapping[str, object]) -> Published:
    fields = dict(table)
    judges = fields.pop("judges", {})
    if not isinstance(judges, dict):
        raise TypeError("judges must be a table")
    known = {name: Figures(**{key: float(value) for key, value in row.items()}) for name, row in judges.items()}
    return Published(judges=known, **fields)  # type: ignore[arg-type]
