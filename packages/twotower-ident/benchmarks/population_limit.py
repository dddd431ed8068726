"""The paper's expert-policy experiment in the population limit, on real MSLR rows, beside the official figures.

    python benchmarks/population_limit.py [--out population_limit.json]

A linear tower, fitted exactly to expected clicks on 41 queries, beside the paper's deep tower, trained on sampled
sessions of MSLR-WEB30K. The first rows are of users that the linear tower can express. Needs the network once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ir_shared.claims import Context
from ir_shared.console import print_table
from ir_shared.run_dir import hardware, write_json
from twotower_ident.claims import curves
from twotower_ident.claims.documents import documents
from twotower_ident.official_results import official_result

SHOWN = (2, 5, 10, 25)
POLICIES = [(1, 0), (1, 1 / 3), (1, 2 / 3), (1, 1), (0, 1 / 3), (-1, 2 / 3), (-1, 1 / 3), (-1, 0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=None)
    asked = parser.parse_args()
    found = documents(Context("laptop", 0, Path()))
    rows: list[tuple[object, ...]] = [
        ("the users", "", *(f"{curves.truth(found.train)[k - 1]:.3f}" for k in SHOWN), None)
    ]
    for policy in ((1, 0), (-1, 0)):
        curve = curves.fit(curves.expected(found.right, policy), found.right).position_bias
        apart = abs(curve - curves.truth(found.right)).max()
        rows.append(("right model", curves.name(policy), *(f"{curve[k - 1]:.3f}" for k in SHOWN), f"{apart:.0e} apart"))
    for policy in POLICIES:
        official = official_result("3-expert-policy", *policy)
        cells = curves.expected(found.train, policy)
        for kind, weighted in (("wrong model", False), ("wrong model, weighted", True)):
            curve = curves.fit(cells, found.train, weighted=weighted).position_bias
            paper = None if official is None else official.weighted_last if weighted else official.curve[-1]
            rows.append((kind, curves.name(policy), *(f"{curve[k - 1]:.3f}" for k in SHOWN), paper))
    heads = ("", "policy", *(f"θ_{k}" for k in SHOWN), "official θ_25")
    print_table("population limit, linear tower, real rows", heads, rows, left=2)
    if asked.out:
        write_json(asked.out, {"rows": [dict(zip(heads, row, strict=False)) for row in rows], "hardware": hardware()})


if __name__ == "__main__":
    main()
