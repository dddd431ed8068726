"""Figures have one style and the same bytes each time, and leave the user's matplotlib alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ir_shared.console import UserError
from ir_shared.plotting import COLOURS, figure, save

matplotlib = pytest.importorskip("matplotlib", reason="needs ir-shared[plot]")

SCRIPT = """
import sys
from ir_shared.plotting import figure, save
with figure() as (fig, ax):
    for i in range(3):
        ax.plot([0, 1, 2], [i, i + 1, i * 2], marker="o", label=f"system {i}")
    ax.fill_between([0, 1, 2], 0, 1, alpha=0.2)
    ax.set_xlabel("threshold")
    ax.set_title("κ by threshold")
    ax.legend()
save(fig, sys.argv[1])
"""


def run_script(path: Path, hash_seed: str) -> None:
    environment = {"PYTHONHASHSEED": hash_seed, "PATH": "", "HOME": str(path.parent)}
    subprocess.run([sys.executable, "-c", SCRIPT, str(path)], check=True, env=environment)


def test_two_processes_save_the_same_bytes(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        run_script(tmp_path / seed, seed)
    for suffix in ("png", "svg"):
        assert (tmp_path / f"1.{suffix}").read_bytes() == (tmp_path / f"2.{suffix}").read_bytes()


def test_the_svg_holds_text_and_neither_date_nor_version(tmp_path: Path) -> None:
    run_script(tmp_path / "plot", "0")
    svg = (tmp_path / "plot.svg").read_text(encoding="utf-8")
    assert "κ by threshold" in svg
    assert "dc:date" not in svg
    assert f"v{matplotlib.__version__}" not in svg
    png = (tmp_path / "plot.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert matplotlib.__version__.encode() not in png


def test_the_face_is_opaque_white(tmp_path: Path) -> None:
    with figure() as (fig, ax):
        ax.plot([1, 2])
    png, _ = save(fig, tmp_path / "plot")
    from matplotlib.image import imread

    corner = imread(png)[0, 0]
    assert list(corner[:3]) == [1, 1, 1]
    assert len(corner) == 3 or corner[3] == 1


def test_a_dot_in_the_name_is_kept(tmp_path: Path) -> None:
    with figure() as (fig, _):
        pass
    assert [path.name for path in save(fig, tmp_path / "new" / "k1=0.9")] == ["k1=0.9.png", "k1=0.9.svg"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["k1=0.9.png", "k1=0.9.svg"]


def test_the_users_settings_and_backend_stay(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    with figure() as (fig, ax):
        ax.plot([1, 2])
        assert matplotlib.rcParams["lines.linewidth"] != before["lines.linewidth"]
    save(fig, tmp_path / "plot")
    assert dict(matplotlib.rcParams) == before
    code = (
        "import sys, matplotlib; from ir_shared.plotting import figure, save\n"
        "with figure() as (fig, ax): ax.plot([1])\n"
        "save(fig, sys.argv[1]); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "p")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_users_settings_do_not_change_the_figure(tmp_path: Path) -> None:
    def draw(name: str) -> bytes:
        with figure() as (fig, ax):
            ax.plot([1, 2])
        return save(fig, tmp_path / name)[0].read_bytes()

    expected = draw("plain")
    with matplotlib.rc_context({"savefig.facecolor": "black", "svg.hashsalt": "mine", "axes.grid": False}):
        assert draw("odd") == expected


def test_lines_take_the_palette_in_order_and_axes_come_in_a_grid() -> None:
    with figure(rows=2, columns=3) as (fig, axes):
        lines = [axes[0, 0].plot([1, 2])[0] for _ in COLOURS]
    assert [line.get_color() for line in lines] == list(COLOURS)
    assert axes.shape == (2, 3)
    assert len(fig.axes) == 6


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_stands_out_from_white(colour: str) -> None:
    from matplotlib.colors import to_rgb

    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) >= 2.2  # the contrast of Okabe and Ito's yellow is 1.3


def test_importing_plotting_loads_no_matplotlib() -> None:
    code = "import sys, ir_shared.plotting; print({'torch', 'jax', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ir_shared.plotting.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"install ir-shared\[plot\]"), figure():
        pass
