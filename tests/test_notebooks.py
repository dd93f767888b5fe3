"""Notebooks as readers find them. That they run and give these outputs is nbmake's part: ``notebooks/conftest.py``."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOTEBOOKS = {path.stem: nbformat.read(path, as_version=4) for path in PATHS}
CODE_LINES, PROSE_LINES = 32, 20

each = pytest.mark.parametrize("name", NOTEBOOKS)


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_they_are_numbered_without_a_hole():
    assert [name[:3] for name in NOTEBOOKS] == [f"{n:02d}_" for n in range(1, len(NOTEBOOKS) + 1)]


@each
def test_each_begins_with_its_question_and_says_that_numbers_are_simulated(name):
    first = NOTEBOOKS[name].cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert "?" in first.source
    prose = " ".join(cell.source for cell in NOTEBOOKS[name].cells if cell.cell_type == "markdown")
    assert "simulated" in prose


@each
def test_no_cell_is_longer_than_a_screen(name):
    for cell in NOTEBOOKS[name].cells:
        most = CODE_LINES if cell.cell_type == "code" else PROSE_LINES
        assert len(cell.source.splitlines()) <= most, cell.source.splitlines()[0]


@each
def test_outputs_are_committed_whole_and_in_order(name):
    cells = code_cells(NOTEBOOKS[name])
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [output.output_type for cell in cells for output in cell.outputs]
    assert kinds, "no outputs"
    assert "error" not in kinds
    told = [output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert not told, f"warnings that a reader would see: {told}"


@each
def test_comparisons_are_asserted_and_not_printed(name):
    """A printed True can be the default of a check that did not run, and a printed False stops nothing."""
    for cell in code_cells(NOTEBOOKS[name]):
        for output in cell.outputs:
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            words = set(text.replace("(", " ").replace(")", " ").replace(",", " ").split())
            assert not words or words - {"True", "False"}, cell.source


@each
def test_nothing_of_the_machine_it_ran_on_is_in_it(name):
    text = (ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
    for trace in (str(ROOT), str(Path.home()) + "/", "iopub.execute_input", "/tmp/"):
        assert trace not in text, trace
    assert len(text) < 500_000


@each
def test_each_is_listed_and_in_the_navigation(name):
    listed = (ROOT / "docs/tutorials/index.md").read_text(encoding="utf-8")
    assert f"notebooks/{name}.ipynb" in listed
    assert f"notebooks/{name}.ipynb" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def runner():
    """``notebooks/conftest.py`` as a module."""
    spec = importlib.util.spec_from_file_location("notebooks_conftest", ROOT / "notebooks/conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_another_number_is_drift_and_another_picture_is_not(runner):
    committed = NOTEBOOKS["02_funding_across_venues"]
    executed = copy.deepcopy(committed)
    pictures = [o.data for cell in code_cells(executed) for o in cell.outputs if "image/png" in o.get("data", {})]
    pictures[0]["image/png"] = "another"
    assert runner.drift(committed, executed) == []
    (table, *_) = [o.data for cell in code_cells(executed) for o in cell.outputs if "WIF" in str(o.get("data", {}))]
    table["text/plain"] = table["text/plain"].replace("WIF", "WOF")
    assert any("WOF" in line for line in runner.drift(committed, executed))


def test_cells_of_spark_are_compared_only_where_spark_runs(runner, monkeypatch):
    committed = NOTEBOOKS["08_pandas_polars_spark"]
    executed = copy.deepcopy(committed)
    last = code_cells(executed)[-1]
    assert last.metadata.tags == ["jvm"]
    last.outputs[0].data["text/plain"] = "'Spark did not run here: nothing was compared'"
    monkeypatch.setattr(runner, "spark_can_run", lambda: True)
    assert any("did not run" in line for line in runner.drift(committed, executed))
    monkeypatch.setattr(runner, "spark_can_run", lambda: False)
    assert runner.drift(committed, executed) == []


def test_a_picture_that_is_gone_is_drift(runner):
    committed = NOTEBOOKS["02_funding_across_venues"]
    executed = copy.deepcopy(committed)
    for cell in code_cells(executed):
        cell.outputs = [output for output in cell.outputs if "image/png" not in output.get("data", {})]
    assert runner.drift(committed, executed)
