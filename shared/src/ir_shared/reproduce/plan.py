"""What a run has to do: which claims, in which order, and what is unchanged since an earlier run."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import ir_shared
from ir_shared.claims import SCALES, Claim, PackageClaims, Scale, Verdict
from ir_shared.console import UserError
from ir_shared.reproduce.results import Result
from ir_shared.run_dir import hash_file, versions

__all__ = ["Task", "plan", "select"]

HASHED_WHOLE = 1 << 30
"""Data files above this size (bytes) are recognised by size and time of change instead of by content."""


@dataclass(frozen=True)
class Task:
    """One claim to measure.

    Attributes:
        package: the package it belongs to.
        claim: the claim.
        scale: scale of the run.
        seeds: seeds to use; empty for a deterministic claim.
        controls: whether the control is measured too.
        data_dir: folder of the data sets.
        folder: where result and figures go.
        relative: the same, relative to the report.
        key: changes whenever the result could.
    """

    package: PackageClaims
    claim: Claim
    scale: Scale
    seeds: tuple[int, ...]
    controls: bool
    data_dir: Path | None
    folder: Path
    relative: str
    key: str

    @property
    def label(self) -> str:
        """``package/claim``, as shown and as accepted on the command line."""
        return f"{self.package.package}/{self.claim.name}"

    def settled(self) -> Result | None:
        """The result where none has to be measured: the scale is too small, or required data is missing."""
        return self._needs_scale() or self._needs_data()

    def unmeasured(self, verdict: Verdict, note: str) -> Result:
        """This claim's record without a measurement."""
        return Result.unmeasured(self.package.package, self.package.version, self.claim, self.scale, verdict, note)

    def _needs_scale(self) -> Result | None:
        if SCALES.index(self.scale) >= SCALES.index(self.claim.scale):
            return None
        return self.unmeasured(Verdict.NEEDS_SCALE, f"is decided at --scale {self.claim.scale}")

    def _needs_data(self) -> Result | None:
        missing = [need for need in self.claim.needs if need.required and not need.files(self.data_dir)]
        if not missing:
            return None
        named = "; ".join(f"{need.path}: {need.what}" for need in missing)
        return self.unmeasured(Verdict.NEEDS_DATA, f"{named} (give the folder that holds it with --data)")


def select(packages: Sequence[PackageClaims], wanted: Sequence[str]) -> list[tuple[PackageClaims, Claim]]:
    """The claims that names select; all where no name is given.

    Args:
        packages: the installed packages.
        wanted: package names, or ``package/claim``.

    Raises:
        UserError: a name is that of no installed package or claim.
    """
    known = {package.package: package for package in packages}
    chosen: dict[str, tuple[PackageClaims, Claim]] = {}
    for name in wanted or known:
        package_name, _, claim_name = name.partition("/")
        package = known.get(package_name)
        if package is None:
            found = ", ".join(known) or "none"
            raise UserError(f"no installed package {package_name!r} has claims; there are: {found}")
        if package.error:
            continue  # reported as such; which claims it would have is not known
        claims = [claim for claim in package.claims if claim_name in ("", claim.name)]
        if claim_name and not claims:
            names = ", ".join(claim.name for claim in package.claims)
            raise UserError(f"{package_name} has no claim {claim_name}; it has: {names}")
        chosen.update({f"{package_name}/{claim.name}": (package, claim) for claim in claims})
    return list(chosen.values())


def plan(
    packages: Sequence[PackageClaims],
    *,
    wanted: Sequence[str] = (),
    scale: Scale = "quick",
    seeds: int | None = None,
    controls: bool = False,
    out: Path,
    data_dir: Path | None = None,
) -> list[Task]:
    """One task for each claim that ``wanted`` selects.

    Args:
        packages: the installed packages, from :func:`ir_shared.claims.discover`.
        wanted: package names or ``package/claim``; empty for all.
        scale: scale of the run.
        seeds: number of seeds for claims with randomness; None for each claim's own number.
        controls: whether to measure the controls too.
        out: folder of the report.
        data_dir: folder of the data sets.

    Raises:
        UserError: an unknown name, or fewer than three seeds.
    """
    if seeds is not None and seeds < 3:
        raise UserError(f"--seeds {seeds}: an interval takes at least three seeds")
    tasks = []
    for package, claim in select(packages, wanted):
        used = tuple(range(seeds or claim.seeds)) if claim.seeds else ()
        relative = f"claims/{package.package}/{claim.name}/{scale}"
        key = _key(package, claim, scale, used, controls, data_dir)
        tasks.append(Task(package, claim, scale, used, controls, data_dir, out / relative, relative, key))
    return tasks


def _key(
    package: PackageClaims, claim: Claim, scale: Scale, seeds: tuple[int, ...], controls: bool, data_dir: Path | None
) -> str:
    files = sorted({file for need in claim.needs for file in need.files(data_dir)})
    facts = {
        "claim": f"{package.package}/{claim.name}",
        "scale": scale,
        "seeds": seeds,
        "controls": controls,
        "sources": [_hash_sources(package.sources), _hash_sources(Path(ir_shared.__file__).parent)],
        "data": [_hash_data(file) for file in files],
        "versions": {**versions("ir-shared"), **versions(package.package)},
        "python": platform.python_version(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@cache
def _hash_sources(folder: Path) -> str:
    """Hash of a package's files. The report's own look is left out: it cannot change a figure."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if (
            file.is_file()
            and "__pycache__" not in name
            and not (folder.name == "ir_shared" and name.startswith("report/"))
        ):
            digest.update(f"{name} {hash_file(file)}\n".encode())
    return digest.hexdigest()


@cache
def _hash_data(file: Path) -> str:
    status = file.stat()
    if status.st_size > HASHED_WHOLE:
        return f"{file.name} {status.st_size} {status.st_mtime_ns}"
    return f"{file.name} {hash_file(file)}"
