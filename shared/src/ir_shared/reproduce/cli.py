"""The command ``reproduce``: does what the papers claim hold, here, on this machine, on this data?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ir_shared.claims import Claim, Scale, Verdict, discover
from ir_shared.console import Exit, notice, print_json, print_table, run_app
from ir_shared.reproduce.results import Result

__all__ = ["app", "main"]

app = typer.Typer(
    help="Measures the claims of every installed package and says what held.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DataOption = Annotated[
    Path | None, typer.Option("--data", envvar="IR_DATA", help="Folder with one sub-folder for each data set.")
]


@app.command("list")
def list_claims(
    data: DataOption = None,
    needs: Annotated[bool, typer.Option("--needs", help="Show the files that the claims would read.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Lists the claims of the installed packages."""
    from ir_shared.reproduce.session import data_folder

    data = data_folder(data)
    packages = discover()
    if as_json:
        print_json([_claim_document(package.package, claim, data) for package in packages for claim in package.claims])
        return
    if not packages:
        notice("no installed package has claims")
    for package in packages:
        rows: list[list[object]] = []
        for claim in package.claims:
            rows.append([claim.name, claim.scale, str(claim.criterion), claim.statement])
            for need in claim.needs if needs else ():
                found = len(need.files(data))
                state = (
                    f"{found} file(s)"
                    if found
                    else "missing, required"
                    if need.required
                    else "missing, a substitute is used"
                )
                rows.append(["  reads", "", "", f"{need.path} [{state}] {need.what}"])
        title = f"{package.package} {package.version}" + (
            f": cannot be loaded ({package.error})" if package.error else ""
        )
        print_table(title, ["claim", "from scale", "criterion", "statement"], rows, left=4)


def _claim_document(package: str, claim: Claim, data: Path | None) -> dict[str, object]:
    return {
        "package": package,
        "claim": claim.name,
        "statement": claim.statement,
        "paper": claim.paper,
        "paper_note": claim.paper_note,
        "unit": claim.unit,
        "criterion": str(claim.criterion),
        "control": claim.control.description,
        "scale": claim.scale,
        "seeds": claim.seeds,
        "needs": [
            {"path": need.path, "what": need.what, "required": need.required, "found": len(need.files(data))}
            for need in claim.needs
        ],
    }


@app.command("run")
def run_claims(
    package: Annotated[
        list[str] | None, typer.Argument(help="Packages, or package/claim; all where none is given.")
    ] = None,
    scale: Annotated[
        Scale,
        typer.Option(
            help="quick: no network, minutes; laptop: up to an hour a package; paper: the paper's own setting."
        ),
    ] = "quick",
    seeds: Annotated[
        int | None, typer.Option(help="Seeds for claims with randomness; at least 3. [default: each claim's]")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
    data: DataOption = None,
    jobs: Annotated[int, typer.Option(help="Claims measured at once, each in a process.")] = 1,
    controls: Annotated[bool, typer.Option("--controls", help="Also measure what must fail each criterion.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Measure again what is unchanged.")] = False,
    fail_on: Annotated[
        list[Verdict] | None, typer.Option(help="Exit with 4 if a claim gets this verdict; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> int:
    """Measures claims and writes index.html, report.md and report.json.

    What is unchanged since the last run into the same folder is not measured again. Ctrl-C keeps what is finished.
    """
    from ir_shared.report import summary_text, write
    from ir_shared.reproduce.live import view_for
    from ir_shared.reproduce.session import run

    session = run(
        package or (),
        scale=scale,
        seeds=seeds,
        out=out,
        data_dir=data,
        jobs=jobs,
        controls=controls,
        force=force,
        view_for=lambda tasks: view_for(tasks, quiet=quiet),
    )
    results = session.ordered()
    page = write(results, out, scale=scale, not_run=[task.label for task in session.missing])
    if as_json:
        print_json(results)
    else:
        _print_results(results)
        notice(f"{summary_text(results)}: {page}")
    if session.interrupted:
        notice(f"stopped early: {len(session.missing)} claim(s) not run; the same command goes on from here")
        return Exit.PARTIAL
    verdicts = {result.verdict for result in results}
    if verdicts & set(fail_on or ()):
        return Exit.CHECK_FAILED
    return Exit.BUG if Verdict.ERROR in verdicts else Exit.DONE


def _print_results(results: Sequence[Result]) -> None:
    from ir_shared.report import measured_text, paper_text

    rows = [[f"{r.package}/{r.claim}", str(r.verdict), measured_text(r), r.criterion, paper_text(r)] for r in results]
    print_table("", ["claim", "verdict", "measured", "criterion", "paper"], rows, left=5)


def main() -> None:
    """Entry point of the console script."""
    run_app(app)


if __name__ == "__main__":
    main()
