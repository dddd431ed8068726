"""Run files, and their ranked lists as tensors of pair indices."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from ir_shared.console import DataWarning, UserError
from ir_shared.trec import run_name

__all__ = [
    "ABSENT",
    "UNJUDGED",
    "BoolArray",
    "FloatArray",
    "IndexArray",
    "IntArray",
    "OnDuplicate",
    "encode_runs",
    "require_ordering",
    "run_files",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
IndexArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

OnDuplicate = Literal["error", "keep-best"]

UNJUDGED = -1
"""In a run tensor: a document is retrieved here, but its pair is not in the collection."""
ABSENT = -2
"""In a run tensor: nothing is retrieved at this position."""


def run_files(runs: str | Path | Sequence[str | Path]) -> dict[str, Path]:
    """Run files by system name (:func:`ir_shared.trec.run_name`), sorted by name.

    Raises:
        UserError: a folder without files, or two files that name one system.
    """
    given = [runs] if isinstance(runs, (str, Path)) else list(runs)
    files: dict[str, Path] = {}
    for path in map(Path, given):
        inside = _files_in(path) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path}: the folder holds no run files")
        for file in inside:
            name = run_name(file)
            if name in files:
                raise UserError(
                    f"{file}: system {name} is also in {files[name]}; rename or remove one of the two files"
                )
            files[name] = file
    return dict(sorted(files.items()))


def require_ordering(systems: Sequence[str]) -> None:
    """Checks that there are systems enough to speak of their order.

    Raises:
        UserError: fewer than three systems.
    """
    if len(systems) < 3:
        found = f"found {len(systems)}" + (f" ({', '.join(systems)})" if systems else "")
        raise UserError(f"an ordering of systems needs at least 3 runs, {found}; give more run files")


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def encode_runs(
    runs: Iterable[tuple[str, Mapping[str, Mapping[str, float]]]],
    index: Mapping[str, Mapping[str, int]],
    depth: int,
    file_cut: int,
) -> tuple[tuple[str, ...], IndexArray, IndexArray]:
    """Encodes runs as tensors of pair indices.

    Args:
        runs: name, and score by qid and docid in file order, of each system.
        index: index of each pair by qid and docid; its qids are the topics.
        depth: documents kept per list.
        file_cut: documents kept per list by a stable sort in file order.

    Returns:
        Names [S], lists in trec_eval's order [S, T, K], and lists cut in file order [S, T, F].
    """
    names: list[str] = []
    tensors: list[IndexArray] = []
    cuts: list[IndexArray] = []
    missing: dict[str, int] = {}
    for name, run in runs:
        tensor, cut = _encode_run(run, index, depth, file_cut)
        names.append(name)
        tensors.append(tensor)
        cuts.append(cut)
        absent = int((tensor[:, 0] == ABSENT).sum())
        if absent:
            missing[name] = absent
    if missing:
        shown = ", ".join(f"{name}: {count}" for name, count in list(missing.items())[:3])
        more = ", …" if len(missing) > 3 else ""
        message = f"{len(missing)} run(s) miss judged topics ({shown}{more}); a missing topic counts 0"
        warnings.warn(message, DataWarning, stacklevel=4)
    return tuple(names), _stack(tensors, len(index)), _stack(cuts, len(index))


def _encode_run(
    run: Mapping[str, Mapping[str, float]], index: Mapping[str, Mapping[str, int]], depth: int, file_cut: int
) -> tuple[IndexArray, IndexArray]:
    """One run as pair indices: [T, K] in trec_eval's order, and [T, F] cut in file order."""
    width = min(depth, max((len(run.get(qid, ())) for qid in index), default=0))
    tensor = np.full((len(index), max(width, 1)), ABSENT, dtype=np.int32)
    cut = np.full((len(index), file_cut), ABSENT, dtype=np.int32)
    for t, (qid, pairs) in enumerate(index.items()):
        scores = run.get(qid)
        if scores:
            ranked = _trec_order(scores)
            row = [pairs.get(docid, UNJUDGED) for docid in ranked[:depth]]
            tensor[t, : len(row)] = row
            kept = set(sorted(scores, key=scores.__getitem__, reverse=True)[:file_cut])
            row = [pairs.get(docid, UNJUDGED) for docid in ranked if docid in kept]
            cut[t, : len(row)] = row
    return tensor, cut


def _trec_order(scores: Mapping[str, float]) -> list[str]:
    """Docids by float32 score, then docid, both descending; str compares as UTF-8 bytes do."""
    with np.errstate(over="ignore"):
        single = np.fromiter(scores.values(), dtype=np.float64, count=len(scores)).astype(np.float32).tolist()
    return [docid for _, docid in sorted(zip(single, scores, strict=True), reverse=True)]


def _stack(tensors: Sequence[IndexArray], n_topics: int) -> IndexArray:
    width = max((tensor.shape[1] for tensor in tensors), default=1)
    stacked = np.full((len(tensors), n_topics, width), ABSENT, dtype=np.int32)
    for s, tensor in enumerate(tensors):
        stacked[s, :, : tensor.shape[1]] = tensor
    return stacked
