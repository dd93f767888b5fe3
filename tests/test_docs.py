"""The docs are true: every code block runs, every command line parses, the site builds without a warning."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import ChainMap
from pathlib import Path

import polars as pl
import pytest

from cexkit.analytics.catalog import METRICS
from cexkit.config import settings
from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import FIELDS, TABLES
from cexkit.schema.intervals import utc
from cexkit.testing import LOOPBACKS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted(path for part in ("docs", "specs") for path in (ROOT / part).rglob("*.md"))
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", flags=re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[str]:
    """Code blocks of a page, indentation of lists taken away."""
    found = BLOCK.findall(path.read_text(encoding="utf-8"))
    return [
        "\n".join(line.removeprefix(indent) for line in code.splitlines())
        for indent, kind, code in found
        if kind == language
    ]


def script(path: Path) -> str:
    """The Python of a page, block after block."""
    return "\n".join(blocks(path, "python"))


#: A made-up venue is registered and then held to the contract: in a process of its own.
OWN_PROCESS = "docs/how-to/add-an-exchange.md"
#: What a page must print beside running to its end.
PRINTS = {
    "docs/how-to/collect-liquidations.md": "0 rows written",
    "docs/how-to/spark.md": "apr",
    "docs/index.md": "'coinbase'",
}
SCRIPTS = {name(path): path for path in PAGES if script(path)}


@pytest.fixture
def as_a_user(tmp_path, monkeypatch):
    """A folder of its own, and registries as they were before."""
    monkeypatch.chdir(tmp_path)
    kept = [(registry, dict(registry)) for registry in (METRICS, TABLES, FIELDS, EXCHANGES, LOOPBACKS)]
    yield
    for registry, before in kept:
        registry.clear()
        registry.update(before)


@pytest.fixture
def venues(as_a_user, monkeypatch):
    """Binance on this machine, for pages that read it: the simulated market under its own dates."""
    from cexkit.testing import LoopbackBinance
    from cexkit.testing.simulation import simulate

    tables = simulate(start="2026-06-01", end="2026-06-21", coins=["BTC"], exchanges=["binance"]).tables
    # listed at the start, because pages pull from earlier on and a venue without these rows has a problem
    listed = pl.lit(utc("2026-06-01")).cast(pl.Datetime("us", "UTC"))
    truth = ChainMap({"instruments": tables["instruments"].with_columns(listing_time=listed)}, tables)
    with LoopbackBinance(truth, now="2026-06-21") as venue:
        monkeypatch.setenv("CEXKIT_BASE_URLS", venue.settings.model_dump_json(include={"base_urls"})[13:-1])
        monkeypatch.setenv("CEXKIT_MAX_CLOCK_SKEW_SECONDS", "none")
        settings.cache_clear()
        yield


@pytest.mark.parametrize("page", [name for name in SCRIPTS if name not in (OWN_PROCESS, "README.md")])
def test_every_block_of_a_page_runs(page, as_a_user, capsys):
    if "pyspark" in script(SCRIPTS[page]):
        pytest.importorskip("pyspark", reason="needs the extra `spark`")
        if shutil.which("java") is None:
            pytest.skip("Spark needs Java")
    exec(compile(script(SCRIPTS[page]), page, "exec", dont_inherit=True), {"__name__": "__main__"})
    assert PRINTS.get(page, "") in capsys.readouterr().out


def test_pages_of_how_to_show_code(project_root):
    for path in (project_root / "docs/how-to").glob("*.md"):
        assert BLOCK.search(path.read_text(encoding="utf-8")), f"{path.name} shows nothing that can be run"


def test_the_made_up_venue_passes_the_contract_that_all_inherit(project_root, tmp_path):
    written = tmp_path / "moonbase.py"
    run = (
        "\nimport sys, pytest\n"
        "which = '(moonbase or v1.pairs) and not recorded'\n"
        "words = ['tests/exchanges/test_contract.py', '-vv', '-k', which, '-p', 'no:cacheprovider']\n"
        "sys.exit(pytest.main(words))\n"
    )
    written.write_text(script(SCRIPTS[OWN_PROCESS]) + run)
    words = [sys.executable, str(written)]
    done = subprocess.run(words, cwd=project_root, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    for part in ("neighboring", "any_bytes", "half_open", "truth_comes_back"):
        assert part in done.stdout


# ---------------------------------------------------------------------------------------------- command lines


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block, as words; what a word expands to is left alone."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    parts = (part for line in lines for part in re.split(r"&&|\||;", line))
    found = [shlex.split(part, comments=True) for part in parts]
    return [[Path(words[0]).name, *words[1:]] for words in found if words]


def parses(command, words: list[str]) -> None:
    """Raise unless the words are a call of this command, its sub-commands and options."""
    inner = getattr(command, "commands", None)
    if not inner:
        command.make_context(command.name or "", list(words))
    elif words and words[0] in inner:
        parses(inner[words[0]], words[1:])
    else:
        assert words in (["--help"], ["--version"]), f"no command {words[:1]}; there are {sorted(inner)}"


def program(called: str):
    """The commands of one of our programs or of Dagster."""
    if called == "dagster":
        from dagster._cli import create_dagster_cli

        return create_dagster_cli()
    from importlib.metadata import entry_points

    import typer

    module = next(entry.module for entry in entry_points(group="console_scripts") if entry.name == called)
    return typer.main.get_command(__import__(module, fromlist=["app"]).app)


SHELLS = [(name(path), words) for path in PAGES for text in blocks(path, "sh") for words in commands(text)]
CALLS = [(page, words) for page, words in SHELLS if words[0].startswith("cexkit") or words[0] == "dagster"]


@pytest.mark.parametrize(("page", "words"), CALLS, ids=[f"{page}: {' '.join(words)}" for page, words in CALLS])
def test_every_command_line_is_one_that_there_is(page, words):
    parses(program(words[0]), words[1:])


def test_a_wrong_command_line_is_noticed():
    for wrong in (["pul", "binance"], ["pull", "binance", "funding_rates", "--sybmol", "BTCUSDT"], ["show"]):
        with pytest.raises((Exception, SystemExit)):
            parses(program("cexkit"), wrong)


def test_modules_and_files_that_commands_name_are_there(project_root):
    above = {"cexkit": project_root, "cexkit_pipeline": project_root / "pipeline"}
    for page, words in SHELLS:
        if words[0].startswith("python") and "-m" in words[:2] and words[2].split(".")[0] in above:
            module = above[words[2].split(".")[0]] / words[2].replace(".", "/")
            assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file(), f"{page}: {words}"
        for word in words[1:]:
            if re.match(r"(tests|notebooks|docs|specs|pipeline|sql)/", word):
                assert (project_root / word).exists(), f"{page} names {word}, which is not there"


def test_the_readme_runs_as_it_stands(venues, capfd):
    page = ROOT / "README.md"
    exec(compile(script(page), "README.md", "exec", dont_inherit=True), {"__name__": "__main__"})
    printed = [line.rstrip() for line in capfd.readouterr().out.splitlines()]
    for shown in blocks(page, "text"):
        assert "\n".join(shown.splitlines()) in "\n".join(printed)
    ours = [words for text in blocks(page, "sh") for words in commands(text) if words[0] == "cexkit"]
    for words in ours:
        done = subprocess.run([Path(sys.executable).with_name("cexkit"), *words[1:]], timeout=120, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {capfd.readouterr().err}"
    assert "BTCUSDT" in capfd.readouterr().out


# --------------------------------------------------------------------------------------------------- the site


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Built as in CI: any warning (a page outside the navigation, a dead link or anchor) is an error."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=600)
    log = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("INFO"))
    assert done.returncode == 0, log[-3000:]
    # where even this is not logged, warnings are not counted either
    assert "INFO    -  Building documentation" in done.stderr
    return folder


def test_the_site_holds_the_notebooks_the_dictionary_and_the_docstrings(site):
    for page, part in {
        "notebooks/01_quickstart/index.html": "What does it cost to hold a perpetual swap",
        "specs/05-data-schemas/index.html": "funding_interval_hours",
        "reference/api/client/index.html": "Raises",
        "reference/api/metrics/index.html": "realized_volatility",
    }.items():
        assert part in (site / page).read_text(encoding="utf-8"), page


def test_the_site_loads_nothing_from_elsewhere(site):
    loads = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)")
    for path in site.rglob("*.html"):
        found = [url for url in loads.findall(path.read_text(encoding="utf-8")) if 'rel="canonical"' not in url]
        assert not found, f"{path.relative_to(site)} loads {found}"


def test_links_within_the_site_lead_somewhere(site):
    for path in site.rglob("*.html"):
        # 404.html is served at any address, so its links begin at the root
        if path.name == "404.html":
            continue
        for href in set(re.findall(r'href="([^"#]+)[^"]*"', path.read_text(encoding="utf-8"))):
            target = path.parent / href
            known = "://" in href or href.startswith(("mailto:", "data:"))
            assert known or target.is_file() or (target / "index.html").is_file(), f"{path.relative_to(site)}: {href}"


def test_links_are_rewritten_as_the_hooks_say():
    import doctest
    import importlib.util

    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs/hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    assert doctest.testmod(hooks) == (0, 4)
