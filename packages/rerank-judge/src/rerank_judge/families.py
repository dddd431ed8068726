"""Which judges and systems belong together: families, first stages, and each judge's own system.

A file of families is TOML:

    baselines = ["bm25"]                        # systems of no family, such as the first stage

    [families]                                  # names of judges and systems alike
    monoT5 = ["monot5-base", "monot5-large"]
    Rank1 = ["rank1-7b"]

    [own]                                       # a judge's own system, where the names differ
    rank1-7b = "bm25-rank1-7b"
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ir_shared.console import DataWarning, UserError
from ir_shared.toml_config import TomlFile

__all__ = ["BASELINE", "Families"]

BASELINE = "baseline"
"""The group of systems without a family."""


@dataclass(frozen=True)
class Families:
    """Families of judges and systems.

    Attributes:
        members: names of judges and systems by family.
        baselines: systems of no family.
        own: a judge's own system where it has another name; a system of the judge's name is its own anyway.
    """

    members: Mapping[str, tuple[str, ...]]
    baselines: tuple[str, ...] = ()
    own: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: dict[str, str] = dict.fromkeys(self.baselines, BASELINE)
        for family, names in self.members.items():
            if family == BASELINE:
                raise UserError(f"family {BASELINE!r}: that is what systems without a family are called; use baselines")
            for name in names:
                if name in seen:
                    raise UserError(f"{name!r} is in {seen[name]} and in {family}; it can belong to one family only")
                seen[name] = family

    @classmethod
    def read(cls, path: str | Path) -> Families:
        """Reads a file of the form that this module shows.

        Raises:
            UserError: the file is missing, no TOML, of another form, or puts a name into two families.
        """
        file = TomlFile.read(path)
        file.check_keys(file.document, ("baselines", "families", "own"))
        return cls.from_table(file, file.document)

    @classmethod
    def from_table(cls, file: TomlFile, table: Mapping[str, Any], where: tuple[str, ...] = ()) -> Families:
        """Reads ``baselines``, ``families`` and ``own`` from a table of a larger file.

        Args:
            file: the file, for errors.
            table: the table.
            where: its keys in the file.

        Raises:
            UserError: as :meth:`read`.
        """
        members = file.table(table, "families", where)
        for family, names in members.items():
            if not _is_names(names):
                raise file.error((*where, "families", family), f"{family}: expected a list of names")
        if not _is_names(table.get("baselines", [])):
            raise file.error((*where, "baselines"), "baselines: expected a list of names")
        own = file.table(table, "own", where)
        for judge, system in own.items():
            if not isinstance(system, str):
                raise file.error((*where, "own", judge), f"{judge}: expected the name of its own system")
        try:
            return cls({f: tuple(names) for f, names in members.items()}, tuple(table.get("baselines", ())), dict(own))
        except UserError as error:
            raise file.error((*where, "families"), str(error)) from None

    def of(self, name: str) -> str | None:
        """The family of a judge or system, None where it has none."""
        return next((family for family, names in self.members.items() if name in names), None)

    def own_system(self, judge: str, systems: Sequence[str]) -> int | None:
        """The place of a judge's own system among the systems, None where it is not there."""
        name = self.own.get(judge, judge)
        return list(systems).index(name) if name in systems else None

    def groups(self, systems: Sequence[str]) -> dict[str, list[int]]:
        """Places of the systems by family, in the order of the file, those without a family last."""
        found = [self.of(system) or BASELINE for system in systems]
        names = [*self.members, BASELINE]
        return {name: [i for i, family in enumerate(found) if family == name] for name in names if name in found}

    def warn_unknown(self, judges: Sequence[str], systems: Sequence[str]) -> None:
        """Says which names of the families are not there, and which systems have no family."""
        listed = [*self.baselines, *(name for names in self.members.values() for name in names)]
        named = dict.fromkeys([*listed, *self.own, *self.own.values()])
        absent = [name for name in named if name not in judges and name not in systems]
        if absent:
            message = f"families: neither judge nor system is called {', '.join(absent)}; check the spelling"
            warnings.warn(message, DataWarning, stacklevel=2)
        loose = [name for name in systems if name not in listed]
        if loose:
            shown = ", ".join(loose[:3]) + (f" and {len(loose) - 3} more" if len(loose) > 3 else "")
            warnings.warn(f"families: {shown}: in no family, counted as {BASELINE}", DataWarning, stacklevel=2)


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
