"""Values of the manifest that do not agree with the files: found by doctor, and held back from a publication."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from cexkit.cli.doctor import diagnose
from cexkit.errors import PublicationError
from cexkit.warehouse.publish import publish
from cexkit.warehouse.store.data_files import value_problem
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.locations import SAMPLE_ROOT
from cexkit.warehouse.store.manifest import read_manifest
from cexkit.warehouse.store.verify import verify
from cexkit.warehouse.store.warehouse import Warehouse

LIES = [
    pytest.param({"rows": 7}, "has [\\d,]+ rows, the manifest says 7", id="rows"),
    pytest.param({"start": "2025-01-01T00:00:00+00:00"}, "has times .* the manifest says 2025-01-01", id="start"),
    pytest.param({"end": "2026-06-29T00:00:00+00:00"}, "has times .* the manifest says .*2026-06-29", id="end"),
    pytest.param({"start": None, "end": None}, "has times .* the manifest says None … None", id="no times"),
    pytest.param({"period": "2024"}, "has times .* which are not in its period 2024", id="period"),
]


@pytest.fixture
def root(tmp_path):
    return shutil.copytree(SAMPLE_ROOT, tmp_path / "warehouse")


def lie(root, values):
    raw = json.loads((root / MANIFEST).read_text())
    file = next(
        file
        for file in raw["files"]
        if (file["table"], file["exchange"], file["period"]) == ("funding_rates", "okx", "2026")
    )
    file |= values
    (root / MANIFEST).write_text(json.dumps(raw))
    return file["path"]


def test_every_file_of_the_sample_agrees():
    assert not [
        each for file in read_manifest(SAMPLE_ROOT / MANIFEST).files if (each := value_problem(SAMPLE_ROOT, file))
    ]


@pytest.mark.parametrize(("values", "problem"), LIES)
def test_value_that_differs_is_a_problem(root, values, problem):
    path = lie(root, values)
    for found in (diagnose(root).problems, verify(Warehouse(root)).problems):
        assert len(found) == 1
        assert re.search(f"{path} {problem}", found[0])


def test_table_with_a_value_that_differs_is_held_back(root, tmp_path):
    path = lie(root, {"rows": 7})
    with pytest.raises(PublicationError, match=f"held back.*funding_rates \\({path} has [\\d,]+ rows"):
        publish(root, tmp_path / "published")
    assert not read_manifest(tmp_path / "published" / MANIFEST).select("funding_rates")
    assert read_manifest(tmp_path / "published" / MANIFEST).select("ohlcv_1h")
