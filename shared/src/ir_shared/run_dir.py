"""A run's folder: what was asked, with which versions and inputs, what came out, and how to go on after a stop.

A folder holds ``manifest.json`` (arguments, versions, seeds, hashes of the inputs, hardware) and ``metrics.jsonl`` (one
object a line, appended). Files are replaced whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from ir_shared.console import UserError

__all__ = [
    "RunDir",
    "atomic_write",
    "hardware",
    "hash_file",
    "provenance",
    "read_json",
    "to_jsonable",
    "versions",
    "write_json",
]


def atomic_write(path: str | Path, data: bytes | str) -> None:
    """Writes a file so that a reader, or a crash, sees the old content or the new and nothing between.

    A link stays one, and what it points to is written. What is no ordinary file, such as a pipe or /dev/null, cannot
    be replaced and is simply written to.

    Raises:
        UserError: the folder cannot be written to.
    """
    path = Path(path)
    data = data.encode() if isinstance(data, str) else data
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(data)
            return
        path = path.resolve() if path.is_symlink() else path
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error}); choose another place") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a result is as readable as any other file of this user.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(f"{path}: cannot be written ({error.strerror or error}); choose another place") from error
        raise


def write_json(path: str | Path, document: object) -> None:
    """Writes strict JSON atomically; NaN and infinities become null."""
    text = json.dumps(to_jsonable(document), indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write(path, text + "\n")


def read_json(path: str | Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: it is missing, or not JSON (with the line).
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON ({error.msg})") from error


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def to_jsonable(value: object, *, number: Callable[[float], object] = _finite) -> Any:
    """Turns dataclasses, numpy values, paths, sets and mappings into what ``json`` writes.

    Args:
        value: the value.
        number: what a float becomes; NaN and ±inf, for which JSON has no word, become None by default.
    """

    def inside(item: object) -> Any:
        return to_jsonable(item, number=number)

    if hasattr(value, "to_json"):
        return inside(value.to_json())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: inside(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): inside(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(inside(item) for item in value)
    if hasattr(value, "tolist"):  # numpy arrays and scalars, without importing numpy
        return inside(value.tolist())
    if isinstance(value, float):
        return number(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, Iterable):
        return [inside(item) for item in value]
    return str(value)


def hash_file(path: str | Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(package: str) -> dict[str, str]:
    """The installed versions of a distribution's direct requirements, extras included; nothing is imported.

    Raises:
        importlib.metadata.PackageNotFoundError: the distribution itself is not installed.
    """
    found = {}
    for requirement in metadata.requires(package) or []:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        if name == package:
            continue  # an extra that is made of other extras
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def hardware() -> dict[str, str | int]:
    """What figures were measured on: processor kind, usable cores, memory in GiB and, if torch is loaded, the GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    facts: dict[str, str | int] = {"machine": platform.machine(), "system": platform.system(), "cores": cores}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        facts["memory_gib"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def provenance(
    package: str, *, inputs: Mapping[str, str | Path] | None = None, seed: int | None = None
) -> dict[str, Any]:
    """What a result needs to be traced: package and versions, python, hashes of the input files, seed.

    Deterministic: the same inputs and versions give the same block (no clock, no host).
    """
    return {
        "package": package,
        "version": metadata.version(package),
        "python": platform.python_version(),
        "versions": versions(package),
        "inputs": {name: _hash_input(Path(path)) for name, path in (inputs or {}).items()},
        "seed": seed,
    }


class RunDir:
    """A folder that records a run and lets it go on after a stop.

    Args:
        path: the folder; made if absent.
        package: distribution whose command this is.
        arguments: what was asked; a resumed run must ask the same.
        inputs: input files by name; their hashes are recorded and must not change on resume.
        seed: the run's seed.

    Raises:
        UserError: the folder holds a run with other arguments, inputs or package version, which must not be mixed.
    """

    def __init__(
        self,
        path: str | Path,
        package: str,
        *,
        arguments: Mapping[str, object],
        inputs: Mapping[str, str | Path] | None = None,
        seed: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.manifest = {
            **provenance(package, inputs=inputs, seed=seed),
            "arguments": to_jsonable(arguments),
            "hardware": hardware(),
        }
        self.resumed = self._check_same()
        if self.resumed:
            self._drop_partial_line()
        else:
            self.manifest["started"] = datetime.now(UTC).isoformat(timespec="seconds")
            write_json(self.path / "manifest.json", self.manifest)

    def _check_same(self) -> bool:
        file = self.path / "manifest.json"
        if not file.exists():
            return False
        before = read_json(file)
        for key in ("package", "version", "arguments", "inputs", "seed"):
            if before.get(key) != self.manifest[key]:
                raise UserError(f"{self.path}: holds a run with other {key}; choose another folder or delete this one")
        self.manifest = before
        return True

    def log(self, **metrics: object) -> None:
        """Appends one object to ``metrics.jsonl``."""
        line = json.dumps(to_jsonable(metrics), ensure_ascii=False, allow_nan=False)
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The logged objects.

        Raises:
            UserError: a line is no JSON.
        """
        file = self.path / "metrics.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{file}:{number}: not JSON ({error.msg})") from error

    def _drop_partial_line(self) -> None:
        """Drops a last line that a crash cut short, so that what is appended starts a line of its own."""
        file = self.path / "metrics.jsonl"
        data = file.read_bytes() if file.exists() else b""
        if data and not data.endswith(b"\n"):
            atomic_write(file, data[: data.rfind(b"\n") + 1])


def _hash_input(path: Path) -> str:
    """A file's hash, or for a folder the hash of its files' names and hashes."""
    if path.is_dir():
        parts = (
            f"{file.relative_to(path).as_posix()} {hash_file(file)}\n"
            for file in sorted(path.rglob("*"))
            if file.is_file()
        )
        return hashlib.sha256("".join(parts).encode()).hexdigest()
    return hash_file(path)
