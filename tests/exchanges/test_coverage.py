"""The coverage page says what the descriptors say, and asking for it finds the same."""

import re
import subprocess
import sys

import pytest

from cexkit.errors import NotOfferedError, NotReadYetError
from cexkit.exchanges.__main__ import generated
from cexkit.exchanges.coverage import coverage
from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import TABLES
from cexkit.schema.symbols import INSTRUMENT_TYPES


def cells(section):
    """Cell texts by table and kind, and reasons by number, out of a section of the page."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", section, re.MULTILINE)
    found = {
        (name, kind): text.strip()
        for name, row in rows
        for kind, text in zip(INSTRUMENT_TYPES, row.split("|"), strict=True)
    }
    return found, dict(re.findall(r"^(\d+)\. (.*)\.$", section, re.MULTILINE))


def test_the_page_is_up_to_date(project_root):
    for path, text in generated().items():
        said = f"{path} is stale: run python -m cexkit.exchanges"
        assert (project_root / path).read_text(encoding="utf-8") == text, said


def test_it_is_written_where_it_is_run(tmp_path, project_root):
    command = [sys.executable, "-m", "cexkit.exchanges"]
    subprocess.run(command, cwd=tmp_path, check=True, env={"PYTHONPATH": str(project_root), "PATH": ""}, timeout=60)
    assert (tmp_path / "docs/reference/coverage.md").read_text(encoding="utf-8") == coverage(EXCHANGES)


@pytest.mark.parametrize("name", list(EXCHANGES))
def test_every_cell_is_what_asking_finds(name):
    section = next(part for part in coverage(EXCHANGES).split("\n## ") if part.startswith(name + "\n"))
    found, reasons = cells(section)
    silver = [table for table in TABLES.values() if table.layer == "silver" and table.made_with is None]
    assert set(found) == {(table.name, kind) for table in silver for kind in INSTRUMENT_TYPES}
    for (table, kind), text in found.items():
        if text.startswith("read"):
            assert EXCHANGES[name].source(table, kind).path
            assert text.endswith("files") == ((table, kind) in EXCHANGES[name].archives)
            continue
        error = NotReadYetError if text == "not read yet" else NotOfferedError
        said = f"{table} exists for" if text == "–" else table
        if text.startswith("not offered"):
            said = re.escape(reasons[re.search(r"\((\d+)\)", text)[1]])
        with pytest.raises(error, match=said):
            EXCHANGES[name].source(table, kind)


def test_every_reason_is_used_and_none_is_of_a_table_that_is_read():
    for found in EXCHANGES.values():
        for table, kind in found.not_offered:
            assert kind in TABLES[table].instrument_types
            assert (table, kind) not in found.sources
