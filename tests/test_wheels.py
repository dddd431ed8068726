"""Each package's wheel builds, installs alone, imports and answers ``--help``.

Covers the packages that differ from ``CI_BASE``, or all where that is unset. With ``CI_ALL_WHEELS`` set, covers all and
runs their quick claims from the wheel as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(1500)]


def _run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(request, tmp_path_factory):
    """A folder with the shared package's wheel."""
    if shutil.which("uv") is None:
        pytest.skip("needs uv on the PATH")
    folder = tmp_path_factory.mktemp("wheels")
    _run(
        "uv", "build", "--quiet", "--wheel", "--package", "ir-shared", "--out-dir", folder, cwd=request.config.rootpath
    )
    return folder


def _covered(package, workspace):
    if os.environ.get("CI_ALL_WHEELS") or not os.environ.get("CI_BASE"):
        return True
    changed = workspace.changed_since(os.environ["CI_BASE"])
    return changed is None or package.name in {member.name for member in workspace.touched(changed)}


def test_a_wheel_installs_alone_and_works(package, workspace, wheels, root, tmp_path):
    if not _covered(package, workspace):
        pytest.skip("unchanged since CI_BASE")
    everything = bool(os.environ.get("CI_ALL_WHEELS"))
    _run("uv", "build", "--quiet", "--wheel", "--package", package.name, "--out-dir", wheels, cwd=root)
    _run("uv", "venv", "--quiet", tmp_path / "venv")
    binaries = tmp_path / "venv" / "bin"
    (wheel,) = wheels.glob(f"{package.import_name}-{package.version}-*.whl")
    wanted = f"{wheel}[claims]" if everything else str(wheel)
    install = ["uv", "pip", "install", "--quiet", "--python", binaries / "python", "--find-links", wheels]
    # Constrained to the lock: what is tested is the package, not what appeared on the index last night.
    _run(*install, "--constraint", _constraints(root, tmp_path), wanted)

    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    here = {"cwd": tmp_path, "env": environment}
    installed = {
        entry["name"]
        for entry in json.loads(_run("uv", "pip", "list", "--format=json", "--python", binaries / "python"))
    }
    assert installed & {member.name for member in workspace.packages()} == {package.name}
    assert (
        _run(binaries / "python", "-c", f"import {package.import_name} as m; print(m.__version__)", **here).strip()
        == package.version
    )
    for script in package.scripts:
        assert "Usage" in _run(binaries / script, "--help", **here)
    listed = json.loads(_run(binaries / "reproduce", "list", "--json", **here))
    assert {entry["package"] for entry in listed} == {package.name}
    if everything:
        report = json.loads(
            _run(binaries / "reproduce", "run", "--json", "--quiet", "--out", tmp_path / "report", **here)
        )
        assert len(report) == len(listed)
        assert "error" not in {entry["verdict"] for entry in report}


def _constraints(root, folder):
    """The lock's pins without their hashes, which constraints do not need and local wheels would not meet."""
    lines = (line.rstrip("\\ ") for line in (root / "requirements.lock").read_text().splitlines())
    pins = folder / "constraints.txt"
    pins.write_text("\n".join(line for line in lines if line[:1].isalnum()))
    return pins
