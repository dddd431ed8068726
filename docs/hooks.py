"""Builds the site from the folders: READMEs, guides, changelogs, and a reference page for every module.

A page keeps the path that its source has in the repository, so that relative links work in both places.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
MEMBERS = [*sorted(file.parent for file in ROOT.glob("packages/*/pyproject.toml")), ROOT / "shared"]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Computes the navigation, and tells the reference where the sources are."""
    guides = [f"{file.relative_to(ROOT / 'docs')}" for file in sorted((ROOT / "docs").glob("*.md"))]
    config.nav = [{"Start": ["README.md", *guides, "CONTRIBUTING.md"]}, *map(_section, MEMBERS)]
    # The plugin's configuration was validated before this hook, and is a plain mapping from here on.
    handlers: Any = config.plugins["mkdocstrings"].config.handlers
    handlers["python"]["paths"] = [str(member / "src") for member in MEMBERS]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that live outside the documentation folder."""
    for path, content in _pages():
        files.append(File.generated(config, path, content=content))
    return files


def _section(member: Path) -> dict[str, Any]:
    folder = member.relative_to(ROOT).as_posix()
    guides = [file.relative_to(ROOT).as_posix() for file in sorted(member.glob("docs/**/*.md"))]
    reference = [{_module(file): _reference(file)} for file in _modules(member)]
    pages = [f"{folder}/README.md", *guides, {"Reference": reference}, {"Changes": f"{folder}/CHANGELOG.md"}]
    return {"ir-shared" if member.name == "shared" else member.name: pages}


def _pages() -> Iterator[tuple[str, str]]:
    for name in ("README.md", "CONTRIBUTING.md"):
        # The documentation folder is the site's root, so that its guides lie beside these two pages.
        yield name, (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for member in MEMBERS:
        for file in sorted([*member.glob("*.md"), *member.glob("docs/**/*.md")]):
            yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")
        for file in _modules(member):
            yield (
                _reference(file),
                f"# `{_module(file)}`\n\n::: {_module(file)}\n    options:\n      show_root_heading: false\n",
            )


def _modules(member: Path) -> list[Path]:
    """The public modules that offer something: those with ``__all__``."""
    files = sorted(member.glob("src/*/**/*.py"))
    return [file for file in files if (file.stem == "__init__" or not file.stem.startswith("_")) and _offers(file)]


def _offers(file: Path) -> bool:
    return any(
        isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
        for node in ast.parse(file.read_text(encoding="utf-8")).body
    )


def _module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    dotted = parts[parts.index("src") + 1 :]
    return ".".join(dotted[:-1] if dotted[-1] == "__init__" else dotted)


def _reference(file: Path) -> str:
    """The page's path beside the member's README, whose folder has no reference of its own in the repository."""
    parts = file.relative_to(ROOT).parts
    return "/".join([*parts[: parts.index("src")], "reference", f"{_module(file)}.md"])
