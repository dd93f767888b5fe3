"""What is shipped: the source distribution is whole, and the wheel made of it works away from the repository."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import cexkit

ROOT = Path(__file__).parent.parent
VERSION = cexkit.__version__


def build(source: Path, into: Path, target: str) -> Path:
    """Run the project's build backend, here and without a network."""
    assert importlib.util.find_spec("hatchling"), "the extra `dev` brings hatchling; install it to build"
    words = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into)]
    done = subprocess.run(words, cwd=source, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (made,) = into.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    """Made of the unpacked source distribution, as a packager would."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return build(source, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def away(installed, tmp_path):
    """Run Python in an empty folder, with the wheel and the dependencies but without the repository."""
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # -S: no .pth files are read, so that the editable install of the repository is not found
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), *libraries])}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-S", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


def test_the_source_distribution_holds_the_project_and_nothing_of_its_surroundings(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "CITATION.cff", "pyproject.toml", "constraints.txt"):
        assert name in names
    for folder in ("cexkit", "pipeline", "sql", "tests", "docs", "specs", "notebooks"):
        assert any(name.startswith(f"{folder}/") for name in names), folder
    strange = [
        name for name in names if re.search(r"(^|/)(\.ci|\.git|\.venv|__pycache__|\.env)(/|$)|^warehouse/", name)
    ]
    assert not strange


def test_the_wheel_holds_what_works_needs_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = (
        "py.typed",
        "analytics/accessors.pyi",
        "_sample/manifest.json",
        "client/tearsheet/templates/tearsheet.html",
    )
    for name in (*(f"cexkit/{name}" for name in package), "cexkit_pipeline/definitions.py"):
        assert name in names
    shipped = {name.removeprefix("cexkit/_sql/") for name in names if name.startswith("cexkit/_sql/")}
    assert shipped == {path.relative_to(ROOT / "sql").as_posix() for path in (ROOT / "sql").rglob("*.sql")}
    tops = {name.split("/")[0] for name in names}
    assert tops == {"cexkit", "cexkit_pipeline", f"cexkit-{VERSION}.dist-info"}


def test_every_file_of_the_package_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    listed = subprocess.run(["git", "ls-files", "cexkit"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    missing = [name for name in listed.stdout.splitlines() if name not in names and (ROOT / name).exists()]
    assert not missing


WORKS = """
import sys
from pathlib import Path
import cexkit
assert "site-packages" not in cexkit.__file__, cexkit.__file__
assert not any(Path(entry, "pyproject.toml").is_file() for entry in sys.path), sys.path

from importlib.metadata import version
assert version("cexkit") == cexkit.__version__

market = cexkit.connect("sample")
assert market.funding_rates.count().execute() > 1000
assert len(market.query("funding_across_venues", base="BTC"))

import duckdb
from cexkit.warehouse.store.locations import SAMPLE_ROOT
views = Path(cexkit.__file__).parent / "_sql" / "views"
shell = duckdb.connect()
shell.execute("SET VARIABLE root = $1", [str(SAMPLE_ROOT)])
for name in ("tables.sql", "funding_apr.sql"):
    shell.execute((views / name).read_text())
assert shell.execute("SELECT count(*) FROM funding_rates_funding_apr").fetchone()[0] > 1000

cexkit.Token("BTC").tearsheet("btc.html")
assert "<html" in Path("btc.html").read_text(encoding="utf-8")[:2000]
print("works")
"""


def test_the_wheel_works_without_the_repository(away):
    assert away("-c", WORKS).splitlines()[-1] == "works"


def test_its_command_line_works_too(away, tmp_path):
    assert "SIMULATED" in away("-m", "cexkit.cli", "demo")
    assert [path.suffix for path in tmp_path.iterdir()] == [".png"]


def test_all_places_that_name_the_version_agree():
    assert re.search(rf'^version = "{re.escape(VERSION)}"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert re.search(rf"^version: {re.escape(VERSION)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest[1] == VERSION
