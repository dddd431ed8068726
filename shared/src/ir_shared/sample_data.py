"""Fetches one file out of a published wheel or sdist, checks it and keeps it: real data that a package carries.

The archive is downloaded by pip, from wherever the user's pip is set up to download, and never installed. Archive and
file stay in the cache, ``$IR_CACHE`` or the platform's usual place, so the network is needed once.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from ir_shared.console import UserError
from ir_shared.run_dir import atomic_write, hash_file

__all__ = ["cache_folder", "fetch_member"]


def cache_folder() -> Path:
    """Where fetched files are kept: ``$IR_CACHE``, else the folder for caches of this platform."""
    if chosen := os.environ.get("IR_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "ir-shared"


def fetch_member(
    package: str,
    version: str,
    member: str,
    *,
    sha256: str,
    kind: Literal["wheel", "sdist"] = "wheel",
    inner: str | None = None,
    build_needs: Sequence[str] = (),
) -> Path:
    """Gives the path of a file out of a published package, downloading the package the first time.

    To download an sdist, pip runs its build script to read its metadata, after it has checked the hash; a wheel runs
    nothing.

    Args:
        package: distribution name, e.g. ``"pyserini"``.
        version: exact version.
        member: path of the file inside the archive.
        sha256: hash of the wheel or sdist, in hexadecimal.
        kind: which of the two to download.
        inner: path of an archive (zip, jar or tar) inside the archive that holds the member.
        build_needs: what an old sdist's build script imports without declaring it, e.g. ``["setuptools", "numpy"]``;
            uvx makes a passing environment with these, and without uvx they must be installed beside pip.

    Returns:
        The file in the cache; it carries the member's name.

    Raises:
        UserError: the package cannot be downloaded, has another hash, or holds no such file.
    """
    where = cache_folder() / f"{package}-{version}" / sha256[:16]
    # The name in the cache is made from a hash, so no path in an archive can lead out of the cache.
    place = hashlib.sha256(f"{inner or ''}\n{member}".encode()).hexdigest()[:16]
    file = where / place / PurePosixPath(member).name
    if not file.exists():
        archive = where / f"archive.{kind}"
        if not archive.exists():
            _download(f"{package}=={version}", kind, sha256, archive, build_needs)
        elif hash_file(archive) != sha256:
            raise UserError(f"{archive}: damaged in the cache; delete it and try again")
        with _open_member(archive, f"{package}=={version}", inner, member) as source:
            atomic_write(file, source.read())
    return file


def _download(pinned: str, kind: str, sha256: str, archive: Path, build_needs: Sequence[str]) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder, tempfile.TemporaryDirectory() as elsewhere:
        # Named with its hash, so that pip refuses another file before it runs that file's build script.
        wanted = Path(elsewhere) / "requirements.txt"
        wanted.write_text(f"{pinned} --hash=sha256:{sha256}\n", encoding="utf-8")
        only = "--only-binary" if kind == "wheel" else "--no-binary"
        options = ["--no-deps", only, ":all:", "--quiet", "--disable-pip-version-check", "--no-input", "--dest", folder]
        options += ["--no-build-isolation"] if build_needs else []
        done = subprocess.run(
            [*_pip(build_needs), "download", *options, "--require-hashes", "--requirement", str(wanted)],
            capture_output=True,
            text=True,
            check=False,
        )
        if other := re.search(r"Got\s+([0-9a-f]{64})", done.stderr):
            raise UserError(f"{pinned}: the {kind} has sha256 {other[1]}, not {sha256}; it is another file")
        files = list(Path(folder).iterdir())
        if done.returncode or len(files) != 1:
            said = (done.stderr.strip() or "no file came").splitlines()[-1]
            remedy = "check the network, or name a folder that holds the file in PIP_FIND_LINKS"
            raise UserError(f"{pinned}: the {kind} cannot be downloaded ({said}); {remedy}")
        files[0].replace(archive)


def _pip(build_needs: Sequence[str]) -> list[str]:
    """How to run pip here: environments made by uv have none of their own."""
    uvx = shutil.which("uvx")
    if uvx and build_needs:
        return [uvx, *(part for need in build_needs for part in ("--with", need)), "pip"]
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if uvx:
        return [uvx, "pip"]
    raise UserError("pip: neither pip nor uvx is installed, and one of them has to download; install pip or uv")


@contextmanager
def _open_member(archive: Path, name: str, inner: str | None, member: str) -> Iterator[IO[bytes]]:
    with archive.open("rb") as file:
        if inner is None:
            with _open(file, name, member) as found:
                yield found
            return
        # An archive is read from its end, which in a compressed stream means unpacking it again and again.
        with _open(file, name, inner) as packed, tempfile.TemporaryFile() as unpacked:
            shutil.copyfileobj(packed, unpacked)
            with _open(unpacked, f"{name}: {inner}", member) as found:
                yield found


@contextmanager
def _open(file: IO[bytes], name: str, member: str) -> Iterator[IO[bytes]]:
    """Opens a regular file in a zip or tar archive; links and folders are no files."""
    file.seek(0)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            _check_member(name, member, {info.filename for info in archive.infolist() if not info.is_dir()})
            with archive.open(member) as found:
                yield found
        return
    file.seek(0)
    if not tarfile.is_tarfile(file):
        raise UserError(f"{name}: neither a zip nor a tar archive; check the path of the inner archive")
    file.seek(0)
    with tarfile.open(fileobj=file) as tar:
        _check_member(name, member, {info.name for info in tar if info.isreg()})
        content = tar.extractfile(member)
        assert content is not None  # only folders and the like have none
        with content as found:
            yield found


def _check_member(name: str, member: str, members: Collection[str]) -> None:
    if member not in members:
        near = get_close_matches(member, members, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else f"it holds {len(members)} others"
        raise UserError(f"{name}: holds no file {member}; {hint}")
