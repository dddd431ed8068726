"""A whole study from one file: agreement, orderings, thresholds carried over, and bias, as tables, plots and JSON.

Every part is saved as soon as it is finished, under a key of all it depends on. A study that was stopped goes on where
it was, and one that is run again computes only what has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ir_shared.console import PartialResult, UserError, notice
from ir_shared.run_dir import atomic_write, hash_file, provenance, read_json, to_jsonable, versions, write_json

from rerank_judge.report import to_latex, to_markdown
from rerank_judge.study_config import StudyConfig
from rerank_judge.study_parts import Part, StudyData, plan
from rerank_judge.study_tables import tables_of

__all__ = ["StudyResult", "run_study"]

_SOURCES = Path(__file__).parent


@dataclass(frozen=True)
class StudyResult:
    """What became of a study.

    Attributes:
        out: the folder with results.json, tables.md, tables.tex, plots/ and parts/.
        parts: the parts' documents by name, in the order of the plan.
        computed: names of the parts that were computed now rather than taken from before.
        plots: the plots, without suffix.
    """

    out: Path
    parts: dict[str, dict[str, Any]]
    computed: tuple[str, ...]
    plots: tuple[Path, ...]


def run_study(
    config: StudyConfig,
    out: str | Path,
    *,
    plots: bool = True,
    on_part: Callable[[int, int, str, bool], None] | None = None,
) -> StudyResult:
    """Runs a study.

    Args:
        config: what to do.
        out: folder for the results; parts of an earlier run that nothing has changed for are taken from it.
        plots: whether to draw plots too.
        on_part: called with the number of parts done and of all parts, and the name of the part just done and whether
            it was computed.

    Raises:
        UserError: data that cannot be used.
        PartialResult: stopped by Ctrl-C; what was finished is written.
    """
    out = Path(out)
    data, parts = StudyData(config), plan(config)
    digests = _digests(config)
    documents: dict[str, dict[str, Any]] = {}
    computed: list[str] = []
    try:
        for part in parts:
            file = out / "parts" / f"{part.name}.json"
            key = _key(config, part, digests)
            found = _saved(file, key)
            if found is None:
                found = to_jsonable(part.compute(data))
                write_json(file, {"key": key, "result": found})
                computed.append(part.name)
            documents[part.name] = found
            if on_part is not None:
                on_part(len(documents), len(parts), part.name, bool(computed and computed[-1] == part.name))
    except KeyboardInterrupt:
        _write(config, out, documents, parts, digests)
        message = f"{len(documents)} of {len(parts)} parts are in {out}; the same command goes on from there"
        raise PartialResult(message) from None
    _write(config, out, documents, parts, digests)
    drawn = _draw(out / "plots", documents, computed) if plots else ()
    return StudyResult(out, documents, tuple(computed), drawn)


def _write(
    config: StudyConfig,
    out: Path,
    documents: dict[str, dict[str, Any]],
    parts: Sequence[Part],
    digests: Mapping[Path, str],
) -> None:
    tables = tables_of(documents)
    missing = [part.name for part in parts if part.name not in documents]
    result = {
        "title": config.title,
        "config": config,
        "missing": missing,
        "parts": documents,
        "provenance": {
            **provenance("rerank-judge", seed=config.seed),
            "inputs": {one.name: digests[one.folder] for one in config.collections},
        },
    }
    write_json(out / "results.json", result)
    atomic_write(out / "tables.md", to_markdown(config.title, tables))
    atomic_write(out / "tables.tex", to_latex(config.title, tables))


def _draw(folder: Path, documents: dict[str, dict[str, Any]], computed: Sequence[str]) -> tuple[Path, ...]:
    if find_spec("matplotlib") is None:
        notice("no plots: they need rerank-judge[plot]")
        return ()
    from rerank_judge.study_plots import plot_study

    return plot_study(folder, documents, computed)


def _key(config: StudyConfig, part: Part, digests: Mapping[Path, str]) -> str:
    """A digest of all that a part's result depends on."""
    read = [one for one in config.collections if one.name in part.collections]
    depends = {
        "part": part.name,
        "config": replace(config, title="", collections=tuple(replace(one, folder=Path()) for one in read)),
        "data": {one.name: digests[one.folder] for one in read},
        "rerankers": {one.name: digests[one.rerankers] for one in read if one.rerankers is not None},
        "sources": digests[_SOURCES],
        "versions": versions("rerank-judge"),
    }
    return hashlib.sha256(json.dumps(to_jsonable(depends), sort_keys=True).encode()).hexdigest()


def _saved(file: Path, key: str) -> dict[str, Any] | None:
    """The document of a part saved under the same key; None where there is none or it is damaged."""
    if not file.exists():
        return None
    try:
        saved = read_json(file)
    except UserError:
        return None
    if not isinstance(saved, dict) or saved.get("key") != key:
        return None
    result = saved.get("result")
    return result if isinstance(result, dict) else None


def _digests(config: StudyConfig) -> dict[Path, str]:
    """A digest of every folder that the study reads, and of this package's sources."""
    folders = {_SOURCES, *(one.folder for one in config.collections)}
    folders |= {one.rerankers for one in config.collections if one.rerankers is not None}
    return {folder: _hash_folder(folder) for folder in folders}


def _hash_folder(folder: Path) -> str:
    """A digest of the names and contents of a folder's files, compiled ones left out."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(folder).as_posix()} {hash_file(file)}\n".encode())
    return digest.hexdigest()
