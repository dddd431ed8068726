"""The process that measures: takes tasks as JSON lines on stdin, gives events as JSON lines on stdout.

Whatever libraries print goes to stderr instead, so that it cannot be taken for an event.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from ir_shared.claims import Claim, Context, Measure, Measurement, NeedsData, PackageClaims, Scale, Verdict, discover
from ir_shared.console import UserError
from ir_shared.reproduce.results import Result
from ir_shared.run_dir import versions
from ir_shared.seeding import seed_everything
from ir_shared.stats import t_interval

__all__ = ["main", "measure_claim"]


def main() -> None:
    """Serves tasks until stdin closes."""
    events = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    packages = {package.package: package for package in discover()}
    for line in sys.stdin:
        _serve(packages, json.loads(line), events)


def _serve(packages: dict[str, PackageClaims], task: dict[str, Any], events: TextIO) -> None:
    def tell(share: float) -> None:
        events.write(json.dumps({"share": share}) + "\n")

    package = packages[task["package"]]
    claim = next(claim for claim in package.claims if claim.name == task["claim"])
    result = measure_claim(
        package,
        claim,
        scale=task["scale"],
        seeds=task["seeds"],
        controls=task["controls"],
        folder=Path(task["folder"]),
        relative=task["relative"],
        data_dir=Path(task["data_dir"]) if task["data_dir"] else None,
        report_progress=tell,
    )
    events.write(json.dumps({"result": result.to_json()}, allow_nan=False) + "\n")


def measure_claim(
    package: PackageClaims,
    claim: Claim,
    *,
    scale: Scale,
    seeds: list[int],
    folder: Path,
    relative: str = "",
    controls: bool = False,
    data_dir: Path | None = None,
    report_progress: Callable[[float], None] | None = None,
) -> Result:
    """Measures one claim in this process; whatever goes wrong is a verdict, never an exception.

    Args:
        package: the package it belongs to.
        claim: the claim.
        scale: scale of the run.
        seeds: seeds of a claim with randomness; ignored for a deterministic one.
        folder: emptied, then holds the figures.
        relative: the folder as the report names it.
        controls: whether to measure the control too.
        data_dir: folder of the data sets.
        report_progress: called with the share done.
    """
    if claim.seeds:
        _load_what_is_seeded(package.package)
    blank = Result.unmeasured(package.package, package.version, claim, scale, Verdict.ERROR, "")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = time.perf_counter()
    parts = 2 if controls else 1
    context = Context(scale, 0, folder, data_dir)

    def measured(
        measure: Measure, part: int, where: Path
    ) -> tuple[list[Measurement], float, tuple[float, float] | None]:
        where.mkdir(exist_ok=True)
        part_context = replace(context, folder=where)
        return _over_seeds(measure, part_context, seeds if claim.seeds else [], part, parts, report_progress)

    try:
        found, value, interval = measured(claim.measure, 0, folder)
        result = replace(
            blank,
            measured=value,
            interval=interval,
            verdict=claim.criterion.decide(value, interval),
            seeds=seeds if claim.seeds else [],
            values=[one.value for one in found] if claim.seeds else [],
            figures=_figures(found[0], folder, relative),
            data=found[0].data,
            details=dict(found[0].details),
        )
        if controls:
            _, value, interval = measured(claim.control.measure, 1, folder / "control")
            verdict = claim.criterion.decide(value, interval)
            result = replace(
                result, control={**blank.control, "measured": value, "interval": interval, "verdict": verdict}
            )
            if verdict is Verdict.REPRODUCED:
                result = result.failed("the control meets the criterion too, so the criterion decides nothing")
    except NeedsData as missing:
        result = replace(blank, verdict=Verdict.NEEDS_DATA, note=str(missing))
    except UserError as error:
        result = blank.failed(str(error))
    except Exception:
        result = blank.failed(traceback.format_exc())
    return replace(result, seconds=round(time.perf_counter() - started, 2))


def _load_what_is_seeded(package: str) -> None:
    """Loads torch, if the package asks for it and it is there: only then can the first seed reach it."""
    if "torch" in versions(package):
        import_module("torch")


def _over_seeds(
    measure: Measure,
    context: Context,
    seeds: list[int],
    part: int,
    parts: int,
    report_progress: Callable[[float], None] | None,
) -> tuple[list[Measurement], float, tuple[float, float] | None]:
    """Measures once for each seed, or once without; gives the measurements, the value and its interval."""
    found = []
    used = seeds or [0]
    for i, seed in enumerate(used):
        done = i + part * len(used)

        def tell(share: float, done: int = done) -> None:
            if report_progress is not None:
                report_progress((done + share) / (parts * len(used)))

        seed_everything(seed)
        # Figures of later seeds would overwrite those of the first.
        folder = context.folder if i == 0 else context.folder / f"seed-{seed}"
        folder.mkdir(exist_ok=True)
        found.append(measure(replace(context, seed=seed, folder=folder, report_progress=tell)))
        tell(1.0)
    if not seeds:
        return found, found[0].value, found[0].interval
    values = [one.value for one in found]
    spread = t_interval(values)
    return found, spread.estimate, (spread.low, spread.high)


def _figures(found: Measurement, folder: Path, relative: str) -> list[dict[str, str]]:
    listed = []
    for figure in found.figures:
        files = [
            f"{figure.name}{suffix}" for suffix in (".svg", ".png") if (folder / f"{figure.name}{suffix}").exists()
        ]
        if not files:
            raise FileNotFoundError(f"the claim names the figure {figure.name} but did not save it in {folder}")
        listed.append({"path": f"{relative}/{files[0]}", "caption": figure.caption})
    return listed


if __name__ == "__main__":
    main()
