from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from ir_shared.console import UserError
from ir_shared.testing import Outcome, call

app = typer.Typer()


@app.command()
def double(number: int) -> None:
    if number < 0:
        raise UserError("negative; give a positive number")
    typer.echo(2 * number)


@pytest.mark.parametrize(
    ("argument", "outcome"),
    [(4, Outcome(0, "8\n", "")), ("--", None), (-1, None)],
)
def test_a_command_is_called_as_from_a_shell(argument, outcome, capsys):
    arguments = ["--", argument] if argument == -1 else [argument]
    found = call(app, arguments, capsys)
    if outcome is None:
        assert found.code == 2
        assert found.err
    else:
        assert found == outcome


def test_shapes_are_checked_in_modules_that_annotate_them_and_in_no_others(tmp_path):
    pytest.importorskip("jaxtyping", reason="needs ir-shared[testing]")
    package = tmp_path / "src" / "some"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    function = "def add(a: Float[np.ndarray, ' n'], b: Float[np.ndarray, ' n'], c: float) -> None: ...\n"
    (package / "shaped.py").write_text(f"import numpy as np\nfrom jaxtyping import Float\n{function}")
    (package / "plain.py").write_text("def add(a: int) -> None: ...\n")
    code = """
import sys
from ir_shared.testing import check_shapes
sys.path.insert(0, "src")
check_shapes("src")
import numpy as np
from jaxtyping import TypeCheckError
from some import plain, shaped
shaped.add(np.zeros(2), np.zeros(2), 1)
plain.add("no integer")
try:
    shaped.add(np.zeros(2), np.zeros(3), 1)
except TypeCheckError:
    print("caught")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "caught\n", done.stderr
