"""A file out of a published package: downloaded once by a real pip, checked, cached, and nothing else touched."""

from __future__ import annotations

import ensurepip
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from ir_shared.console import UserError
from ir_shared.sample_data import cache_folder, fetch_member

QRELS = "1 0 d1 2\n1 0 d2 0\n"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that pip takes packages from, and from nowhere else; and one cache for all tests that want no other."""
    folder = tmp_path_factory.mktemp("shelf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        patch.setenv("IR_CACHE", str(tmp_path_factory.mktemp("cache")))
        if find_spec("pip") is None:
            # Environments made by uv hold no pip; python carries one, which runs from its wheel.
            bundled = sorted(Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"))
            if not bundled:
                pytest.skip("needs pip, installed or bundled with python")
            patch.syspath_prepend(str(bundled[0]))
            patch.setenv("PYTHONPATH", str(bundled[0]))
        yield folder


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def wheel(shelf: Path) -> Path:
    jar, tar = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("topics-and-qrels/qrels.toy.txt", QRELS)
    with tarfile.open(fileobj=tar, mode="w:gz") as archive:
        add(archive, "data/qrels.toy.txt", QRELS.encode())
        link = tarfile.TarInfo("data/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    path = shelf / "toydata-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toydata/jars/toy.jar", jar.getvalue())
        archive.writestr("toydata/toy.tar.gz", tar.getvalue())
        archive.writestr("toydata/topics.txt", "1\tcats\n")
        archive.writestr("toydata/folder/", "")
        archive.writestr("../../escaped.txt", "out")
        archive.writestr("toydata-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toydata\nVersion: 1.0\n")
        archive.writestr(
            "toydata-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("toydata-1.0.dist-info/RECORD", "")
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def test_a_member_of_a_wheel_is_fetched(wheel: Path) -> None:
    file = fetch_member("toydata", "1.0", "toydata/topics.txt", sha256=sha256(wheel))
    assert file.read_text() == "1\tcats\n"
    assert file.name == "topics.txt"
    assert file.is_relative_to(cache_folder())


@pytest.mark.parametrize(
    ("inner", "member"),
    [("toydata/jars/toy.jar", "topics-and-qrels/qrels.toy.txt"), ("toydata/toy.tar.gz", "data/qrels.toy.txt")],
)
def test_a_member_of_an_archive_inside_is_fetched(wheel: Path, inner: str, member: str) -> None:
    file = fetch_member("toydata", "1.0", member, sha256=sha256(wheel), inner=inner)
    assert file.read_text() == QRELS


def test_the_second_time_needs_no_download_and_another_member_neither(
    wheel: Path, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = sha256(wheel)
    first = fetch_member("toydata", "1.0", "toydata/topics.txt", sha256=digest)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert fetch_member("toydata", "1.0", "toydata/topics.txt", sha256=digest) == first
    other = fetch_member("toydata", "1.0", "data/qrels.toy.txt", sha256=digest, inner="toydata/toy.tar.gz")
    assert other.read_text() == QRELS


def test_members_with_one_name_are_kept_apart(wheel: Path) -> None:
    files = [
        fetch_member("toydata", "1.0", member, sha256=sha256(wheel), inner=inner)
        for inner, member in (
            ("toydata/jars/toy.jar", "topics-and-qrels/qrels.toy.txt"),
            ("toydata/toy.tar.gz", "data/qrels.toy.txt"),
        )
    ]
    assert files[0] != files[1]
    assert files[0].name == files[1].name


def make_sdist(folder: Path, name: str, *, requires: str = "", on_import: str = "") -> Path:
    """An sdist whose build backend needs nothing but python; pip runs it to learn the metadata."""
    backend = (
        f"import pathlib\n{on_import}\n"
        "def prepare_metadata_for_build_wheel(folder, config_settings=None):\n"
        f"    info = pathlib.Path(folder) / '{name}-2.0.dist-info'\n"
        "    info.mkdir()\n"
        f"    (info / 'METADATA').write_text('Metadata-Version: 2.1\\nName: {name}\\nVersion: 2.0\\n')\n"
        "    return info.name\n"
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        "    raise RuntimeError\n"
    )
    project = f'[build-system]\nrequires = [{requires}]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    path = folder / f"{name}-2.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        add(archive, f"{name}-2.0/PKG-INFO", f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n".encode())
        add(archive, f"{name}-2.0/pyproject.toml", project.encode())
        add(archive, f"{name}-2.0/backend.py", backend.encode())
        add(archive, f"{name}-2.0/data/mq2007.txt", b"2 qid:1 1:0.5\n")
    return path


def test_a_member_of_an_sdist_is_fetched(shelf: Path) -> None:
    path = make_sdist(shelf, "toysource")
    file = fetch_member("toysource", "2.0", "toysource-2.0/data/mq2007.txt", sha256=sha256(path), kind="sdist")
    assert file.read_text() == "2 qid:1 1:0.5\n"


def test_an_sdist_with_another_hash_is_refused_before_its_build_script_runs(shelf: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    path = make_sdist(shelf, "toytrap", on_import=f"pathlib.Path({str(trace)!r}).touch()")
    with pytest.raises(UserError, match=f"has sha256 {sha256(path)}, not {'0' * 64}"):
        fetch_member("toytrap", "2.0", "toytrap-2.0/data/mq2007.txt", sha256="0" * 64, kind="sdist")
    assert not trace.exists()
    fetch_member("toytrap", "2.0", "toytrap-2.0/data/mq2007.txt", sha256=sha256(path), kind="sdist")
    assert trace.exists()


def test_what_an_old_build_script_needs_is_taken_from_beside_pip_where_uvx_is_absent(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_sdist(shelf, "toyold", requires='"not-to-be-had"')
    monkeypatch.setattr("shutil.which", lambda name: None)
    member = "toyold-2.0/data/mq2007.txt"
    with pytest.raises(UserError, match="the sdist cannot be downloaded"):
        fetch_member("toyold", "2.0", member, sha256=sha256(path), kind="sdist")
    file = fetch_member("toyold", "2.0", member, sha256=sha256(path), kind="sdist", build_needs=["json"])
    assert file.read_text() == "2 qid:1 1:0.5\n"


def test_another_hash_is_refused_and_nothing_is_kept(wheel: Path, empty_cache: Path) -> None:
    with pytest.raises(UserError, match=f"has sha256 {sha256(wheel)}, not {'0' * 64}"):
        fetch_member("toydata", "1.0", "toydata/topics.txt", sha256="0" * 64)
    assert [path for path in empty_cache.rglob("*") if path.is_file()] == []


def test_a_damaged_archive_in_the_cache_is_named(wheel: Path, empty_cache: Path) -> None:
    digest = sha256(wheel)
    fetch_member("toydata", "1.0", "toydata/topics.txt", sha256=digest)
    archive = next(empty_cache.rglob("archive.wheel"))
    archive.write_bytes(archive.read_bytes()[:-10])
    with pytest.raises(UserError, match="damaged in the cache"):
        fetch_member("toydata", "1.0", "data/qrels.toy.txt", sha256=digest, inner="toydata/toy.tar.gz")


@pytest.mark.parametrize(
    ("inner", "member", "message"),
    [
        (None, "toydata/topic.txt", "did you mean toydata/topics.txt"),
        (None, "zzz", "holds no file zzz; it holds"),
        (None, "toydata/folder/", "holds no file"),
        ("toydata/toy.jar", "x", "did you mean toydata/jars/toy.jar"),
        ("toydata/topics.txt", "x", "neither a zip nor a tar"),
        ("toydata/toy.tar.gz", "data/link.txt", "holds no file data/link.txt"),
    ],
)
def test_a_member_that_is_not_there_is_named(wheel: Path, inner: str | None, member: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fetch_member("toydata", "1.0", member, sha256=sha256(wheel), inner=inner)


def test_a_path_that_climbs_stays_in_the_cache(wheel: Path) -> None:
    file = fetch_member("toydata", "1.0", "../../escaped.txt", sha256=sha256(wheel))
    assert file.read_text() == "out"
    assert file.resolve().is_relative_to(cache_folder().resolve())


def test_a_package_that_cannot_be_downloaded_is_named_with_the_remedy(shelf: Path) -> None:
    with pytest.raises(UserError, match=r"toydata==9.9: the wheel cannot be downloaded .*check the network") as caught:
        fetch_member("toydata", "9.9", "x", sha256="0" * 64)
    assert "\n" not in str(caught.value)


def test_without_pip_and_uvx_it_says_what_to_install(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ir_shared.sample_data.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="install pip or uv"):
        fetch_member("toydata", "1.0", "x", sha256="0" * 64)


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IR_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("IR_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "ir-shared"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "ir-shared"


def test_importing_sample_data_loads_nothing_heavy() -> None:
    code = "import sys, ir_shared.sample_data; print({'torch', 'jax', 'matplotlib', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.network
def test_the_real_qrels_of_dl19_come_out_of_a_published_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IR_CACHE", str(tmp_path))
    file = fetch_member(
        "pyserini",
        "0.20.0",
        "topics-and-qrels/qrels.dl19-passage.txt",
        inner="pyserini/resources/jars/anserini-0.20.0-fatjar.jar",
        sha256="4ea2bf1ab00da7b6e5f0b5195776f6ce59a00e1cb1c2fb59e692db55c0f5f3dc",
    )
    assert file.stat().st_size == 187_092
    assert hashlib.md5(file.read_bytes()).hexdigest() == "2f4be390198da108f6845c822e5ada14"
