"""What every member has, read from the folders."""

from __future__ import annotations

import re

import pytest


def test_the_ground_plan_is_complete(member):
    wanted = ["README.md", "CHANGELOG.md", "LICENSE", "tests", "benchmarks", f"src/{member.import_name}/py.typed"]
    if member.name == "ir-shared":
        wanted.remove("benchmarks")
    assert [name for name in wanted if not (member.folder / name).exists()] == []


def test_the_folder_is_named_like_the_distribution(package):
    assert package.folder.name == package.name


def test_the_version_stands_in_the_changelog_with_a_date(member):
    text = (member.folder / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(member.version)}\] - \d{{4}}-\d\d-\d\d$", text, re.MULTILINE)


def test_the_member_installs_alone_and_stays_editable_here(package):
    assert "ir-shared>=0.1,<0.2" in [requirement.replace(" ", "") for requirement in package.project["dependencies"]]
    whole = package.project[""]
    assert whole["tool"]["uv"]["sources"]["ir-shared"] == {"workspace": True}
    assert "dev" in whole["dependency-groups"]
    assert "claims" in package.project["optional-dependencies"]


def test_the_package_offers_a_command_and_claims(package):
    assert package.scripts
    assert package.name in package.project["entry-points"]["ir_shared.claims"]


def test_the_readme_tells_a_newcomer_what_to_do(package):
    text = (package.folder / "README.md").read_text(encoding="utf-8")
    heads = {line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("## ")}
    assert {"Install", "Quick start", "Command line", "Claims", "Benchmarks", "Limits", "Citation"} <= heads


def test_the_top_readme_has_a_row_for_the_package(package, root):
    text = (root / "README.md").read_text(encoding="utf-8")
    assert re.search(
        rf"^\| \[{re.escape(package.name)}\]\(packages/{re.escape(package.name)}/README.md\) \|", text, re.MULTILINE
    )


def test_licences_are_one_text(member, root):
    assert (member.folder / "LICENSE").read_bytes() == (root / "LICENSE").read_bytes()


def test_at_least_four_claims_are_decided_at_quick_in_a_complete_package(package):
    from ir_shared.claims import discover

    found = {one.package: one for one in discover()}
    if package.name not in found:
        pytest.skip(f"needs {package.name} installed: uv sync --all-packages")
    quick = [claim for claim in found[package.name].claims if claim.scale == "quick"]
    classifiers = package.project["classifiers"]
    # Until it is complete a package says so in its classifiers.
    assert len(quick) >= (2 if "Development Status :: 3 - Alpha" in classifiers else 4)
