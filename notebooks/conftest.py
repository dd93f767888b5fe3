"""Notebooks run as tests, by nbmake, and must give the outputs they were committed with.

``python -m pytest notebooks --overwrite`` commits new ones. Each runs on a copy in a folder of its own, so that nothing
it writes stays here. Pictures are not compared, only that there is one: their bytes differ between machines.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbmake.nb_result import NotebookError, NotebookResult
from nbmake.pytest_items import NotebookFailedException, NotebookItem

#: What differs from run to run and says nothing.
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
#: Of a cell's metadata, what is kept: tags are by hand, the rest is of the run.
KEPT = {"tags"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Run the copy, then compare it with what is committed, or replace that."""
    if not isinstance(item, NotebookItem):
        return (yield)
    committed = Path(item.filename)
    copy = _copied(committed, item.config)
    item.filename, option = str(copy), item.config.option
    overwrite, option.overwrite = option.overwrite, True
    # a session this short is over before the second compiler of Java's pays
    os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1")
    try:
        result = yield
    finally:
        item.filename, option.overwrite = str(committed), overwrite
    executed = cleaned(nbformat.read(copy, as_version=4))
    if overwrite:
        nbformat.write(executed, committed)
    else:
        _refuse(drift(nbformat.read(committed, as_version=4), executed), executed)
    return result


def _copied(notebook: Path, config: pytest.Config) -> Path:
    folder = config._tmp_path_factory.mktemp(notebook.stem)  # type: ignore[attr-defined]
    copy = folder / notebook.name
    copy.write_text(notebook.read_text(encoding="utf-8"), encoding="utf-8")
    return copy


def cleaned(notebook: Any) -> Any:
    """The notebook without what is of one run only: times, ids, versions."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {name: value for name, value in cell.metadata.items() if name in KEPT}
        for output in cell.get("outputs", []):
            output.get("metadata", {}).pop("execution", None)
    return notebook


def drift(committed: Any, executed: Any) -> list[str]:
    """Lines in which the outputs differ, cell by cell; none if they are the same."""
    found: list[str] = []
    spark = spark_can_run()
    for number, (before, now) in enumerate(zip(committed.cells, executed.cells, strict=True)):
        if "jvm" in before.metadata.get("tags", []) and not spark:
            continue  # such a cell says that Spark did not run, which the committed output does not
        if before.cell_type == "code" and shown(before) != shown(now):
            lines = difflib.unified_diff(shown(before), shown(now), "committed", "now", lineterm="", n=0)
            found += [f"cell {number}:", *lines]
    return found


def spark_can_run() -> bool:
    """Return True if this machine can give the outputs of cells tagged ``jvm``."""
    return importlib.util.find_spec("pyspark") is not None and shutil.which("java") is not None


def shown(cell: Any) -> list[str]:
    """What a reader sees below a cell, as lines; of a picture only that it is there."""
    lines: list[str] = []
    for output in cell.outputs:
        if output.output_type == "stream":
            # a Java machine talks when it likes
            if output.name == "stderr" and "jvm" in cell.metadata.get("tags", []):
                continue
            lines += [f"{output.name}: {line}" for line in output.text.splitlines()]
            continue
        for kind, content in sorted(output.get("data", {}).items()):
            picture = kind.startswith("image/")
            lines += [f"<{kind}>"] if picture else [f"{kind}: {line}" for line in content.splitlines()]
    return [ADDRESS.sub("0x…", line) for line in lines]


def _refuse(lines: list[str], executed: Any) -> None:
    if lines:
        summary = "outputs are not those committed; if they should be: python -m pytest notebooks --overwrite"
        error = NotebookError(summary=summary, trace="\n".join([*lines, summary]), failing_cell_index=-1)
        raise NotebookFailedException(NotebookResult(nb=executed, error=error))
