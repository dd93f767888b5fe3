"""Which part of cexkit may import which, and that no two import each other; lazy imports included."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from cexkit.exchanges.registry import EXCHANGES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "cexkit"

#: Part: the parts it may import. A part is the first two names below the package. There are no exemptions.
TABLE = """\
__init__: analytics.accessors analytics.basis analytics.beta analytics.catalog analytics.cross_venue analytics.funding
  analytics.liquidations analytics.liquidity analytics.open_interest analytics.order_flow analytics.plotting
  analytics.prices analytics.registration analytics.resample analytics.volatility client.market client.token
  client.tokens errors exchanges.fetch schema warehouse.collect warehouse.ingest warehouse.publish
analytics:
analytics.__main__: analytics._core analytics.catalog
analytics._core: errors schema.asset_class schema.fields schema.intervals schema.scalars
analytics.accessors: analytics._core analytics.catalog analytics.plotting errors
analytics.basis: analytics._core analytics.funding errors schema.scalars
analytics.beta: analytics._core analytics.volatility schema.names
analytics.catalog: analytics._core analytics.basis analytics.beta analytics.cross_venue analytics.funding
  analytics.liquidations analytics.liquidity analytics.open_interest analytics.order_flow analytics.prices
  analytics.resample analytics.volatility
analytics.cross_venue: analytics._core
analytics.funding: analytics._core analytics.volatility errors schema.intervals schema.scalars
analytics.liquidations: analytics._core errors schema.fields schema.intervals
analytics.liquidity: analytics._core analytics.volatility
analytics.open_interest: analytics._core
analytics.order_flow: analytics._core
analytics.plotting: analytics._core analytics.basis analytics.cross_venue analytics.funding analytics.liquidations
  analytics.open_interest analytics.prices analytics.volatility errors schema schema.asset_class schema.names
analytics.prices: analytics._core
analytics.registration: analytics.accessors
analytics.resample: analytics._core analytics.funding analytics.liquidations errors schema.fields schema.intervals
  schema.scalars
analytics.volatility: analytics._core errors schema.intervals schema.scalars
cli:
cli.__main__: cli.commands
cli.bronze: cli.output cli.terminal config errors warehouse.ingest warehouse.store
cli.commands: cli.bronze cli.demo cli.doctor cli.migrate cli.output cli.pull cli.quarantine cli.rebuild cli.terminal
  client.market client.opening client.table_list client.tearsheet config errors warehouse.collect warehouse.publish
cli.demo: analytics.plotting client.references errors schema schema.asset_class warehouse.store
cli.doctor: client.market config errors warehouse.store
cli.migrate: cli.output cli.terminal config warehouse.ingest warehouse.store
cli.output: cli.terminal errors text warehouse.store
cli.progress:
cli.pull: cli.output cli.progress cli.terminal exchanges.fetcher warehouse.ingest warehouse.ingest.plan
cli.quarantine: cli.bronze cli.terminal warehouse.store
cli.rebuild: cli.output cli.terminal config errors exchanges.registry schema warehouse.ingest warehouse.store
cli.terminal: errors text
client:
client.__main__: client.queries client.query
client.asof: errors schema.intervals
client.bars: analytics.resample client.selection errors schema schema.intervals
client.basis: analytics.basis client.asof client.bars client.instruments client.references errors schema
  schema.intervals schema.names schema.scalars
client.dataset:
client.instruments: errors schema schema.asset_class schema.names schema.symbols
client.market: client.opening client.panel client.point_in_time client.query_run client.table_list client.universe
  schema.intervals schema.names warehouse.store
client.opening: config warehouse.store
client.panel: client.instruments client.return_types errors schema schema.intervals schema.names
client.point_in_time: client.asof client.bars client.basis client.instruments errors schema schema.intervals
  schema.names
client.queries: client.query errors
client.query: errors schema schema.asset_class schema.intervals schema.scalars
client.query_run: client.instruments client.queries client.query client.references client.return_types errors schema
  schema.asset_class schema.intervals schema.names schema.render schema.symbols warehouse.store
client.references: errors schema schema.asset_class schema.names
client.return_types: errors schema.scalars
client.selection: client.instruments errors schema schema.intervals schema.names schema.scalars
client.table_list: schema text warehouse.store
client.tearsheet: analytics.basis analytics.cross_venue analytics.funding analytics.liquidations analytics.liquidity
  analytics.open_interest analytics.plotting analytics.prices analytics.resample analytics.volatility client
  client.basis client.selection errors schema schema.asset_class schema.intervals schema.render schema.scalars
  warehouse.store
client.token: client.market client.return_types client.selection client.tearsheet client.token_base
  client.token_derivatives client.token_prices config schema schema.intervals schema.names
client.token_base: client.return_types client.selection
client.token_derivatives: analytics.funding client.bars client.references client.return_types client.selection
  client.token_base errors schema schema.intervals
client.token_prices: analytics.prices analytics.volatility client.asof client.bars client.return_types
  client.selection client.token_base errors schema schema.intervals schema.scalars
client.tokens: client.return_types client.token client.token_base errors schema schema.names
client.universe: client.instruments schema schema.asset_class schema.intervals schema.names schema.render
config: errors
errors: text
exchanges:
exchanges.<venue>: errors exchanges.archives exchanges.base exchanges.csv_rows exchanges.dated exchanges.facts
  exchanges.http exchanges.instruments exchanges.order exchanges.parsing exchanges.rows schema schema.intervals
  schema.symbols
exchanges.__main__: exchanges.coverage exchanges.registry
exchanges.archives: config errors exchanges.dated exchanges.parsing schema.intervals schema.symbols
exchanges.assembly: errors exchanges.instruments exchanges.page exchanges.registry exchanges.rows schema schema.render
  schema.symbols schema.validate
exchanges.base: errors exchanges.archives exchanges.http exchanges.parsing schema schema.intervals schema.symbols
exchanges.coverage: exchanges.base schema schema.symbols
exchanges.csv_rows: errors exchanges.archives exchanges.rows
exchanges.dated: errors schema.intervals
exchanges.downloads: errors exchanges.archives exchanges.fetcher exchanges.http exchanges.page exchanges.parsing
  schema.intervals schema.symbols
exchanges.facts: exchanges.http exchanges.order exchanges.parsing exchanges.rows schema schema.intervals schema.render
exchanges.fetch: exchanges.fetcher schema.intervals schema.symbols
exchanges.fetcher: config errors exchanges.assembly exchanges.http exchanges.instruments exchanges.listings
  exchanges.page exchanges.page_walk exchanges.parsing exchanges.registry exchanges.venue_client exchanges.venue_walk
  schema schema.intervals schema.symbols transfer
exchanges.http: errors network schema.intervals text transfer
exchanges.instruments: errors exchanges.rows schema schema.names schema.render schema.symbols
exchanges.listings: errors exchanges.assembly exchanges.base exchanges.instruments exchanges.page exchanges.page_walk
  exchanges.parsing exchanges.terms exchanges.venue_client schema schema.symbols
exchanges.order:
exchanges.page: errors exchanges.http exchanges.parsing schema.intervals
exchanges.page_walk: errors exchanges.base exchanges.facts exchanges.http exchanges.page exchanges.parsing
  exchanges.venue_client schema.intervals
exchanges.parsing: exchanges.rows exchanges.terms schema schema.intervals schema.symbols
exchanges.registry: errors exchanges.<venue> exchanges.base exchanges.parsing schema.names
exchanges.rows: errors schema.intervals
exchanges.streams: errors exchanges.base exchanges.registry exchanges.rows exchanges.terms schema schema.intervals
  schema.render schema.symbols
exchanges.terms: schema.symbols
exchanges.venue_client: errors exchanges.base exchanges.http exchanges.parsing
exchanges.venue_walk: errors exchanges.base exchanges.http exchanges.page exchanges.page_walk exchanges.parsing
  exchanges.venue_client schema.intervals
network: config errors
schema: schema.fields schema.tables
schema.__main__: schema.render schema.tables
schema.asset_class: errors schema.fields schema.scalars
schema.fields:
schema.intervals: errors schema.scalars
schema.names: errors
schema.render: errors schema.fields schema.tables
schema.scalars:
schema.symbols:
schema.tables: errors schema.fields schema.intervals
schema.validate: schema.tables
testing: testing.<venue> testing.feed testing.files testing.hub testing.loopback testing.market testing.stream
  testing.venue
testing.<venue>: config errors exchanges.<venue> schema schema.intervals schema.render testing.feed testing.loopback
  testing.venue
testing._hub_http: testing._hub_repo testing.loopback
testing._hub_repo:
testing._hub_routes: testing._hub_repo testing.loopback
testing.feed: errors schema schema.render
testing.files: testing._hub_repo testing._hub_routes testing.hub testing.loopback
testing.hub: testing._hub_http testing._hub_repo testing._hub_routes testing.loopback
testing.loopback: schema.intervals
testing.market: exchanges.streams schema.intervals testing.<venue> testing.simulation testing.stream testing.venue
testing.simulation: errors schema schema.intervals schema.render schema.symbols warehouse.gold.tables
  warehouse.quality warehouse.store
testing.stream:
testing.venue: schema.intervals testing.feed testing.loopback
text:
transfer: network
warehouse:
warehouse.collect: errors exchanges.fetcher exchanges.parsing exchanges.streams network schema schema.intervals
  schema.names schema.symbols text warehouse.ingest warehouse.store
warehouse.gold: errors schema warehouse.gold.tables warehouse.quality warehouse.store
warehouse.gold.tables: analytics.funding errors schema schema.asset_class schema.render warehouse.units
warehouse.ingest: analytics.funding config errors exchanges.archives exchanges.base exchanges.downloads
  exchanges.facts exchanges.fetcher exchanges.http exchanges.instruments exchanges.page exchanges.parsing
  exchanges.registry exchanges.rows exchanges.streams exchanges.terms schema schema.intervals schema.names
  schema.render schema.symbols schema.validate text warehouse.store warehouse.units
warehouse.ingest.plan: errors exchanges.base exchanges.fetcher exchanges.registry exchanges.venue_client schema
  schema.intervals schema.names schema.symbols warehouse.ingest warehouse.store
warehouse.publish: config errors exchanges.http exchanges.registry network schema schema.names schema.render text
  warehouse.gold warehouse.quality warehouse.store
warehouse.quality: errors schema schema.asset_class schema.intervals schema.render warehouse.store warehouse.units
warehouse.sql_views: analytics._core analytics.catalog schema schema.render warehouse.store
warehouse.store: config errors network schema schema.intervals schema.names schema.render transfer
warehouse.units: schema
"""
_LINES = (line.partition(":") for line in TABLE.replace("\n  ", " ").splitlines())
ALLOWED = {part: set(allowed.split()) for part, _, allowed in _LINES}

#: Parts of ``exchanges`` that are values and pure functions.
PURE = {f"exchanges.{name}" for name in ("<venue>", "archives", "base", "coverage", "dated", "instruments", "parsing")}

FILES = sorted(PACKAGE.rglob("*.py"))


def _module(path: Path) -> str:
    """Return the dotted name of a file; a package is its ``__init__``."""
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


MODULES = {_module(path): path for path in FILES}


#: Modules that are parts of their own, because the rest of their package may not import what they import.
OWN_PARTS = {"warehouse.gold.tables", "warehouse.ingest.plan"}


def _part(module: str) -> str:
    """Return the part of a module; the packages of all venues are one, so that another venue needs no line here."""
    if module.removeprefix("cexkit.") in OWN_PARTS:
        return module.removeprefix("cexkit.")
    names = module.split(".")[1:3]
    if names[-1:] and names[-1] in EXCHANGES:
        names[-1] = "<venue>"
    return ".".join(names) or "__init__"


def _imported_names(source: str) -> set[str]:
    """Return the full names that a source file imports, anywhere in it, except for type checking.

    A string that names a module of cexkit counts as an import of it: the package loads its public names that way, as
    ``module:attribute``.
    """
    tree = ast.parse(source)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide who imports whom"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            module = node.value.partition(":")[0]
            names |= {module} if module in MODULES and module != "cexkit" else set()
    return names


def _imported_modules(path: Path) -> set[str]:
    """Return the modules of cexkit that a file imports; of ``from package import name``, the one that has the name."""
    names = _imported_names(path.read_text(encoding="utf-8"))
    modules = {name if name in MODULES else name.rpartition(".")[0] for name in names}
    return (modules & MODULES.keys()) - {_module(path)}


IMPORTS = {module: _imported_modules(path) for module, path in MODULES.items()}


def _cycle(imports: dict[str, set[str]]) -> list[str]:
    """Return the modules or parts of one cycle; empty if there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def _grouped(imports: dict[str, set[str]], depth: int) -> dict[str, set[str]]:
    """Return the imports between groups of modules, by the first ``depth`` names below the package."""
    groups: dict[str, set[str]] = defaultdict(set)
    for module, imported in imports.items():
        group, *others = (
            _part(name) if depth == 2 else ".".join(name.split(".")[1 : depth + 1]) for name in (module, *imported)
        )
        groups[group] |= {other for other in others if other != group}
    return groups


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_parts_below_it(path):
    part = _part(_module(path))
    beyond = {_part(module) for module in IMPORTS[_module(path)]} - ALLOWED[part] - {part}
    assert not beyond, f"{path.relative_to(ROOT)} of {part} may not import {', '.join(sorted(beyond))}"


@pytest.mark.parametrize("folder", ["exchanges", "testing"])
def test_venues_do_not_import_each_other(folder):
    for venue in EXCHANGES:
        own = f"cexkit.{folder}.{venue}"
        imported = {name for module in MODULES if f"{module}.".startswith(f"{own}.") for name in IMPORTS[module]}
        strangers = EXCHANGES.keys() - {venue}
        others = tuple(f"cexkit.{part}.{other}" for part in ("exchanges", "testing") for other in strangers)
        assert not {name for name in imported if name.startswith(others)}, own


def test_table_names_every_part():
    assert {_part(module) for module in MODULES} == ALLOWED.keys()


def test_table_allows_nothing_unused():
    used = _grouped(IMPORTS, 2)
    unused = {part: sorted(allowed - used[part]) for part, allowed in ALLOWED.items()}
    assert not {part: names for part, names in unused.items() if names}


@pytest.mark.parametrize("depth", [9, 2, 1], ids=["modules", "parts", "packages"])
def test_imports_have_no_cycle(depth):
    assert _cycle(_grouped(IMPORTS, depth)) == []


@pytest.mark.parametrize("depth", [9, 2, 1], ids=["modules", "parts", "packages"])
def test_cycle_is_found(depth):
    assert _cycle(_grouped(IMPORTS | {"cexkit.errors": {"cexkit.cli.commands"}}, depth))


def test_lazy_and_named_imports_count_and_typing_does_not():
    source = "def f():\n    from cexkit.errors import warn\nif TYPE_CHECKING:\n    import os\nNAME = 'cexkit.config'"
    assert _imported_names(source) == {"cexkit.errors.warn", "cexkit.config"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_one_place_for_each_thing_outside(path):
    text = path.read_text(encoding="utf-8")
    names = _imported_names(text)
    assert not {name for name in names if name.split(".")[0] in {"dagster", "cexkit_pipeline"}}
    if path.name != "config.py":
        assert not {"os.environ", "os.getenv"} & names, "only cexkit/config.py reads the environment"
        assert not re.search(r"os\.(environ|getenv)", text), "only cexkit/config.py reads the environment"
    if path != PACKAGE / "__init__.py":
        assert not re.search(r"import_module|__import__|resolve_name", text), "imports are statements"
        plain = {
            alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for alias in node.names
        }
        assert not {name for name in plain if name.split(".")[0] == "cexkit"}, "write: from cexkit.… import …"
    if path.name != "layout.py":
        assert "manifest.json" not in text, "only cexkit/warehouse/store/layout.py knows the file layout"
        assert 'f"exchange=' not in text, "only cexkit/warehouse/store/layout.py knows the file layout"


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name == "__init__.py"], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_package_init_contains_no_logic(path):
    """A docstring and re-exports; the root also loads its public names on first use."""
    if path.parent == PACKAGE:
        return
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        names = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        assert docstring or names or isinstance(node, ast.ImportFrom), ast.unparse(node)


@pytest.mark.parametrize("path", [path for path in FILES if _part(_module(path)) in PURE], ids=lambda path: path.name)
def test_descriptors_and_parsers_do_no_io(path):
    names = {name.split(".")[0] for name in _imported_names(path.read_text(encoding="utf-8"))}
    assert not names & {"asyncio", "httpx", "os", "socket", "subprocess", "time", "urllib3", "websockets"}


def test_dagster_files_hold_no_ingestion_of_their_own():
    for path in (ROOT / "pipeline").rglob("*.py"):
        heavy = {name.split(".")[0] for name in _imported_names(path.read_text(encoding="utf-8"))}
        heavy &= {"polars", "pandas", "pyarrow", "httpx", "duckdb"}
        assert not heavy, f"{path.name} works on data itself; that belongs in cexkit"
