"""Side by side with clax-models 0.1.1, which installs the same import name and therefore runs in its own environment.

    python benchmarks/peer_parity.py [--peer PYTHON] [--models ...] [--positions 10,22] [--out peer_parity.json]

Values: conditional and unconditional click probabilities for the same weights and sessions. Six models must agree to
1e-5; the conditionals of CM and of mixtures must differ, since the peer's are wrong there (its CM multiplies by the
unconditional examination, its mixture looks at later clicks). Speed: the same AdamW steps on the same shapes, each
model in a fresh process, the two packages in turn. Without --peer the environment is made with uv (it is large: the
peer depends on torch).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from clax.batch import make_batch
from clax.models import MODEL_NAMES, build_model
from ir_shared.console import print_table
from ir_shared.run_dir import hardware, versions, write_json

HERE = Path(__file__).parent
PEER = ["jax==0.7.0", "jaxlib==0.7.0", "flax==0.11.2", "clax-models==0.1.1"]
SAME = ("pbm", "ubm", "dcm", "ccm", "dbn", "sdbn")
RANKS = 6


def main() -> None:
    """Compares values and speed, and exits with 4 if the values are not as promised."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        python = options.peer or _environment(Path(folder))
        values = compare_values(python, Path(folder))
        heads = ["model", "kind", "largest difference", "promise", "as promised"]
        print_table("probabilities", heads, [[_short(row[h]) for h in heads] for row in values], left=2)
        speed = compare_speed(python, options)
    heads = ["model", "positions", "first s", "peer first s", "step ms", "peer step ms", "times faster"]
    print_table(
        f"training, batch {options.batch}, {options.pairs} pairs", heads, [[r[h] for h in heads] for r in speed]
    )
    write_json(options.out, {"values": values, "speed": speed, "hardware": hardware(), "versions": versions("clax")})
    sys.exit(0 if all(row["as promised"] for row in values) else 4)


def _short(value: object) -> object:
    return f"{value:.1e}" if isinstance(value, float) else value


def compare_values(python: str, folder: Path) -> list[dict[str, Any]]:
    """Largest differences of probabilities over 64 random sessions of six ranks."""
    random = np.random.default_rng(0)
    clicks = random.random((64, RANKS)) < 0.4
    pairs = np.tile(np.arange(1, RANKS + 1), (64, 1))
    logits = {name: np.r_[0, random.normal(0, 1, RANKS)] for name in ("alpha", "sigma", "lambda", "theta")}
    logits |= {name: random.normal(0, 1, 1) for name in ("gamma", "tau1", "tau2", "tau3")}
    logits |= {"browsing": random.normal(0, 1, (RANKS + 1) ** 2), "prior": np.log([0.6, 0.4])}
    np.savez(folder / "in.npz", pairs=pairs, clicks=clicks, **logits)
    subprocess.run([python, HERE / "peer_worker.py", "values", folder / "in.npz", folder / "out.npz"], check=True)
    theirs = np.load(folder / "out.npz")
    batch = make_batch(pairs, clicks=clicks)
    result = []
    for name in (*SAME, "cm", "pbm+dbn"):
        model = build_model(name, RANKS, RANKS)
        params = _params(model, logits)
        ours = {"conditional": model.conditional_log_probs, "unconditional": model.log_click_probs}
        for kind, function in ours.items():
            gap = float(np.abs(np.exp(function(params, batch).yes) - np.exp(theirs[f"{name} {kind}"])).max())
            same = name in SAME or kind == "unconditional"
            promise = "equal to 1e-5" if same else "different"
            kept = gap < 1e-5 if same else gap > 1e-3
            result.append(
                {"model": name, "kind": kind, "largest difference": gap, "promise": promise, "as promised": kept}
            )
    return result


def compare_speed(python: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Best blocks of steps of both packages."""
    rows = []
    shape = ["--batch", str(options.batch), "--pairs", str(options.pairs)]
    for positions in options.positions:
        for name in options.models:
            chosen = ["--models", name, "--positions", str(positions), *shape]
            theirs = _rows([python, str(HERE / "peer_worker.py"), "speed", *chosen])
            ours = _rows([sys.executable, str(HERE / "steady_state.py"), "--json", *chosen])
            step, peer_step = 1e3 * min(ours["step_s"]), 1e3 * min(theirs["step_s"])
            rows.append(
                {
                    "model": name,
                    "positions": positions,
                    "first s": ours["first_s"],
                    "peer first s": theirs["first_s"],
                    "step ms": step,
                    "peer step ms": peer_step,
                    "times faster": peer_step / step,
                    "blocks ms": [1e3 * x for x in ours["step_s"]],
                    "peer blocks ms": [1e3 * x for x in theirs["step_s"]],
                }
            )
    return rows


def _params(model: Any, logits: dict[str, np.ndarray]) -> Any:
    if hasattr(model, "members"):
        first, second = (_params(member, logits) for member in model.members)
        shared = {"attraction": first.pop("attraction")}
        second.pop("attraction")
        return {"prior": logits["prior"], "shared": shared, "members": {"0": first, "1": second}}
    keys = {
        "attraction": "alpha",
        "satisfaction": "sigma",
        "examination": "browsing" if model.name == "ubm" else "theta",
    }
    keys |= {"continuation": "lambda" if model.name == "dcm" else "gamma"}
    keys |= {"after_none": "tau1", "after_irrelevant": "tau2", "after_relevant": "tau3"}
    return {name: p.from_row_logits(logits[keys[name]]) for name, p in model.parameters().items()}


def _rows(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])[0]  # type: ignore[no-any-return]


def _environment(folder: Path) -> str:
    python = str(folder / "peer/bin/python")
    subprocess.run(["uv", "venv", "--python", "3.11", str(folder / "peer")], check=True)  # noqa: S607
    subprocess.run(["uv", "pip", "install", "--python", python, *PEER], check=True)  # noqa: S607
    return python


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="interpreter of an environment with clax-models 0.1.1")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(MODEL_NAMES))
    parser.add_argument("--positions", type=lambda text: [int(x) for x in text.split(",")], default=[10, 22])
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--out", default="peer_parity.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
