"""Who may import whom, read from the imports themselves, lazy ones included. No exemptions."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "cexkit"

#: Module or folder of cexkit → what it may import of cexkit. What is not named may be imported by nobody.
ALLOWED = {
    "errors": set(),
    "symbols": set(),
    "intervals": {"errors"},
    "config": {"errors"},
    "schema": {"errors", "intervals"},
    "http": {"errors", "intervals"},
    # the values a venue is described with: an answer, a paging strategy, a budget
    "exchanges": {"errors", "intervals", "symbols", "schema", "http"},
    "store": {"errors", "intervals", "schema", "config"},
    "analytics": {"errors", "intervals", "schema"},
    "accessors": {"analytics", "errors", "plotting"},
    "fetch": {"errors", "intervals", "symbols", "schema", "config", "http", "exchanges"},
    "download": {"errors", "intervals", "symbols", "exchanges", "fetch"},
    # the interval of a settlement is a metric, and stored
    "ingest": {
        *("errors", "intervals", "symbols", "schema", "config", "exchanges", "fetch", "download", "store", "analytics")
    },
    "planning": {"intervals", "symbols", "schema", "exchanges", "fetch", "ingest", "store"},
    "collect": {"errors", "intervals", "symbols", "schema", "exchanges", "fetch", "ingest", "store"},
    "gold": {"errors", "intervals", "schema", "analytics"},
    # answers are parsed again, to hold their rows against those of the tables
    "quality": {"errors", "intervals", "schema", "store", "gold", "exchanges", "ingest"},
    "refine": {"errors", "schema", "store", "gold", "quality"},
    # the venues' descriptors say what a dataset cannot hold
    "publish": {"errors", "config", "schema", "exchanges", "http", "store", "quality"},
    "simulation": {"errors", "intervals", "symbols", "schema", "store", "gold"},
    "testing": {"errors", "intervals", "symbols", "schema", "config", "http", "exchanges", "simulation"},
    "plotting": {"analytics", "errors", "schema"},
    "frames": {"errors"},
    "listing": {"errors", "schema"},
    "asof": {"errors", "intervals"},
    "bars": {"errors", "intervals", "schema"},
    "queries": {"errors", "intervals", "schema", "store"},
    "questions": {"errors", "intervals", "schema", "analytics", "asof", "bars", "frames", "listing", "queries"},
    "verbs": {"errors", "intervals", "schema", "analytics", "asof", "bars", "listing"},
    "report": {"errors", "intervals", "schema", "store", "analytics", "plotting", "verbs"},
    "token": {"intervals", "config", "analytics", "client", "frames", "listing", "verbs", "report"},
    "tokens": {"errors", "schema", "frames", "listing", "token"},
    "client": {"config", "errors", "intervals", "schema", "store", "listing", "questions"},
    "demo": {"plotting", "schema", "store"},
    "sql": {"schema", "store", "analytics", "accessors"},
    "doctor": {"client", "config", "errors", "store"},
    "cli": {
        *("demo", "doctor", "publish", "ingest", "planning", "collect", "config", "errors", "client", "report", "store")
    },
    "__init__": {"accessors", "analytics", "client", "fetch", "token", "tokens"},
}


def _part(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def _imports(path: Path) -> set[str]:
    """Full names of all modules that a file imports, anywhere in it, but for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_is_below_it(path):
    part = _part(path)
    inside = {name.split(".")[1] for name in _imports(path) if name.startswith("cexkit.")}
    beyond = {name for name in inside if name in ALLOWED and name not in ALLOWED[part] | {part}}
    assert not beyond, f"{path.name} of {part} may not import {', '.join(sorted(beyond))}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_one_place_for_each_thing_outside(path):
    text, imported = path.read_text(encoding="utf-8"), _imports(path)
    assert not {name for name in imported if name.split(".")[0] in {"dagster", "cexkit_pipeline"}}
    if _part(path) != "config":
        assert not {"os.environ", "os.getenv"} & imported, "only cexkit/config.py reads the environment"
        assert "os.environ" not in text, "only cexkit/config.py reads the environment"
    if path.name != "layout.py":
        assert "manifest.json" not in text, "only cexkit/store/layout.py knows where things lie"
        assert 'f"exchange=' not in text, "only cexkit/store/layout.py knows where things lie"


def test_every_part_is_in_the_table():
    assert {_part(path) for path in FILES} == set(ALLOWED)


def test_dagster_files_hold_no_ingestion_of_their_own():
    for path in (ROOT / "pipeline").rglob("*.py"):
        heavy = {name.split(".")[0] for name in _imports(path)} & {"polars", "pandas", "pyarrow", "httpx", "duckdb"}
        assert not heavy, f"{path.name} works on data itself; that belongs in cexkit"
