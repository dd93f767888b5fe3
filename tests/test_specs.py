"""The specs are true to the code: what they name is there, and what is there is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

import cexkit
from cexkit.analytics.catalog import METRICS
from cexkit.cli.commands import app

ROOT = Path(__file__).parent.parent
SPECS = sorted((ROOT / "specs").glob("*.md"))
NUMBERED = [path for path in SPECS if path.name != "README.md"]


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_numbers_run_from_00_to_06_and_the_index_names_each():
    assert [path.name[:2] for path in NUMBERED] == [f"0{n}" for n in range(7)]
    index = text(ROOT / "specs/README.md")
    assert re.findall(r"\]\((0\d-[\w-]+\.md)\)", index) == [path.name for path in NUMBERED]


@pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
def test_each_is_dated_has_a_status_and_is_short(path):
    assert re.search(r"^Date: 20\d\d-\d\d-\d\d\. Status: \w+", text(path), flags=re.MULTILINE)
    if "Generated from" not in text(path):
        assert len(text(path).splitlines()) <= 150


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_files_that_are_named_are_there(path):
    named = re.findall(r"`((?:cexkit|pipeline|sql|docs|tests|notebooks|specs)/[\w./*-]*\w)`", text(path))
    for name in named:
        found = list(ROOT.glob(name))
        # the wheel's name of a folder that a checkout has elsewhere
        assert found or name == "cexkit/_sql", f"{path.name} names {name}, which is not there"


def test_the_architecture_names_every_part():
    named = text(ROOT / "specs/01-architecture.md")
    parts = {path.name for path in (ROOT / "cexkit").iterdir() if not path.name.startswith(("_", "."))}
    shown = {name for name in parts if name.endswith(".py") or (ROOT / "cexkit" / name / "__init__.py").is_file()}
    missing = sorted(name for name in shown if f"cexkit/{name}" not in named)
    assert not missing, f"specs/01-architecture.md does not name {missing}"


def test_the_client_spec_names_the_public_api_and_every_command():
    spec = text(ROOT / "specs/04-client-library.md")
    for name in set(cexkit.__all__) - set(METRICS):
        assert f"`{name}`" in spec, f"specs/04-client-library.md does not name {name}"
    for name in typer.main.get_command(app).commands:
        assert f"`cexkit {name}" in spec, f"specs/04-client-library.md does not name `cexkit {name}`"
