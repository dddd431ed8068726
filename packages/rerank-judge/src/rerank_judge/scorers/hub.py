"""Finds a model by local folder or hub id, and says which version of it that is.

A hub that cannot be reached is asked once: then a copy in the cache serves, or there is one message.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from ir_shared.console import UserError

__all__ = ["Source", "find_source", "folder_digest"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_TIMEOUT_S = 10.0
_MODEL_FILES = frozenset({".json", ".safetensors", ".bin", ".model", ".txt"})
_CHUNK = 1 << 16
_CHUNKS = 64


@dataclass(frozen=True)
class Source:
    """A model's place.

    Attributes:
        name: short name, the last part of its path or id.
        location: local folder or hub id.
        revision: commit on the hub; None for a folder.
        digest: hash of the folder's files, or the commit.
        local: whether all files are there without the hub.
    """

    name: str
    location: str
    revision: str | None
    digest: str
    local: bool


def find_source(name: str, *, download: bool = True) -> Source:
    """Finds a model.

    Args:
        name: folder, or id on the hub.
        download: whether the hub may be asked; else only folders and the hub's cache count.

    Raises:
        UserError: there is no such folder or model, or the hub cannot be reached and its cache lacks the model.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return Source("-".join(path.resolve().name.split()), str(path), None, folder_digest(path), local=True)
    if path.is_file():
        raise UserError(f"{name}: is a file; give the folder of the checkpoint that holds its config.json")
    if not _HUB_ID.fullmatch(name):
        raise UserError(f"{name}: no such folder")
    revision = _ask_hub(name) if download else None
    if revision is not None:
        return Source(name.rsplit("/", 1)[-1], name, revision, revision, local=False)
    snapshot = _cached(name)
    if snapshot is not None:
        return Source(name.rsplit("/", 1)[-1], str(snapshot), None, snapshot.name, local=True)
    where = "the model hub cannot be reached" if download else "the cache of the model hub lacks it"
    raise UserError(f"{name}: no such folder, and {where}; give the path of a local copy of the checkpoint")


def folder_digest(folder: Path) -> str:
    """The first 16 digits of a hash of a checkpoint's files; of a large file, size and 64 evenly spaced blocks.

    Training changes all weights, so that blocks tell two checkpoints apart without reading tens of gigabytes.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.suffix in _MODEL_FILES:
            size = file.stat().st_size
            digest.update(f"{file.name} {size}\n".encode())
            step = max(_CHUNK, size // _CHUNKS)
            with file.open("rb") as content:
                for start in range(0, size, step):
                    content.seek(start)
                    digest.update(content.read(_CHUNK))
    return digest.hexdigest()[:16]


def _ask_hub(name: str) -> str | None:
    """The newest commit of a model, or None if the hub does not answer."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return HfApi().model_info(name, timeout=_TIMEOUT_S).sha
    except GatedRepoError:
        raise UserError(f"{name}: access is restricted; accept its terms on the hub and log in with a token") from None
    except RepositoryNotFoundError:
        raise UserError(f"{name}: no such folder, and no such model on the hub (or it is private)") from None
    except Exception:
        # Offline, a proxy, a server error: which exceptions these are depends on the client of the hub's library.
        return None


def _cached(name: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
