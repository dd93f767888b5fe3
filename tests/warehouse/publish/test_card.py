"""The card and ``spec.json``: true to the data, whole, and the same wherever and whenever they are made."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
import yaml
from huggingface_hub import DatasetCard

from cexkit.exchanges.registry import EXCHANGES
from cexkit.schema import TABLES
from cexkit.warehouse.gold.build import build_gold
from cexkit.warehouse.publish.card import card
from cexkit.warehouse.publish.content import assemble
from cexkit.warehouse.publish.spec import NAMES_LISTED, describe
from cexkit.warehouse.quality import run_checks
from cexkit.warehouse.store.warehouse import Warehouse

from .conftest import TO


@pytest.fixture
def spec(warehouse):
    return describe(warehouse, run_checks(warehouse, now=warehouse.manifest.updated_at))


def made(warehouse, **options) -> dict[str, str]:
    return {p.path: p.source.decode() for p in assemble(warehouse, **options).pieces if isinstance(p.source, bytes)}


def test_the_numbers_of_spec_are_those_of_the_data(warehouse, spec):
    for name, facts in spec["tables"].items():
        table, rows = TABLES[name], pl.from_arrow(warehouse.read(TABLES[name]))
        assert facts["rows"] == rows.height
        assert facts["bytes"] == sum((warehouse.root / f.path).stat().st_size for f in warehouse.manifest.select(name))
        if table.time:
            assert datetime.fromisoformat(facts["start"]) == rows[table.time].min()
            assert datetime.fromisoformat(facts["end"]) == rows[table.time].max()
        for column, called in (("symbol", "symbols"), ("base", "bases"), ("coverage", "coverage")):
            if column in table.columns:
                values = sorted(rows[column].unique().drop_nulls())
                assert facts[called] == {"count": len(values), "names": values}
        if "exchange" in table.columns:
            assert facts["venues"] == sorted(rows["exchange"].unique())
    assert spec["rows"] == sum(facts["rows"] for facts in spec["tables"].values())
    assert (spec["simulated"], spec["schema_version"]) == (True, warehouse.manifest.schema_version)
    assert datetime.fromisoformat(spec["updated_at"]) == warehouse.manifest.updated_at


def test_a_warehouse_in_a_folder_whose_name_is_a_pattern_is_read_as_any_other(warehouse, spec):
    moved = Warehouse(warehouse.root.rename(warehouse.root.parent / "exchange=x [1]"))
    quality = run_checks(moved, now=moved.manifest.updated_at)
    assert describe(moved, quality) == spec
    assert build_gold(moved, "liquidations_1d") == tuple(moved.manifest.select("liquidations_1d"))


def test_many_names_are_counted_and_not_listed(warehouse, monkeypatch):
    monkeypatch.setattr("cexkit.warehouse.publish.spec.NAMES_LISTED", 1)
    assert NAMES_LISTED > 1
    facts = describe(warehouse, run_checks(warehouse, ["ohlcv_1h"], now=warehouse.manifest.updated_at))
    assert facts["tables"]["ohlcv_1h"]["bases"] == {"count": 2}


def test_quality_counts_every_check_of_every_silver_table(spec):
    for name, facts in spec["tables"].items():
        if TABLES[name].layer == "gold":
            assert "quality" not in facts
            continue
        assert facts["quality"]["blocking_failures"] == 0
        assert {"schema", "unique_key"} <= set(facts["quality"]["checks"])
        assert facts["quality"]["checks"]["unique_key"]["rows_checked"] == facts["rows"]


def test_the_same_data_gives_the_same_files_whenever_they_are_made(warehouse, monkeypatch):
    first = made(warehouse)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(UTC) + timedelta(days=400)

    monkeypatch.setattr("cexkit.warehouse.quality.checks.datetime", Later)
    assert made(warehouse) == first


def test_the_hubs_own_reader_of_cards_understands_it(warehouse):
    data = DatasetCard(made(warehouse, name=TO)["README.md"]).data
    assert (data.license, data.size_categories) == ("mit", ["1K<n<10K"])
    assert "simulated" in data.tags
    assert len(data.configs) == len({file.table for file in warehouse.manifest.files})


def test_every_column_of_every_table_is_explained_with_its_unit(warehouse):
    text = made(warehouse)["README.md"]
    for name in {file.table for file in warehouse.manifest.files}:
        section = text.split(f"\n### {name}\n")[1].split("\n### ")[0]
        for field in TABLES[name].fields:
            (row,) = [line for line in section.splitlines() if line.startswith(f"| `{field.name}` |")]
            assert f"| {field.unit} |" in row
            assert field.meaning in row


def test_the_card_says_what_is_not_in_the_data(warehouse, spec):
    text = card(spec)
    for venue in ("binance", "okx"):
        for reason in EXCHANGES[venue].not_offered.values():
            assert f"- **{venue}**: " in text
            assert reason in text
    assert "- **coinbase**" not in text, "only venues that are in it"
    assert "totals are lower bounds" in text
    assert "Here: `throttled`." in text


def test_real_data_does_not_claim_a_license_that_is_not_ours_to_give(spec):
    real = card(spec | {"simulated": False})
    head = yaml.safe_load(real.split("---\n")[1])
    assert head["license"] == "other"
    assert "their terms of use apply" in real
    assert "simulated" not in real.split("## Data dictionary")[0].replace(spec["description"], "")
    assert yaml.safe_load(card(spec, license="cc-by-4.0").split("---\n")[1])["license"] == "cc-by-4.0"


def test_the_python_of_the_card_compiles(spec):
    blocks = re.findall(r"```python\n(.*?)```", card(spec, name=TO), flags=re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        compile(block, "card", "exec")


def test_a_description_cannot_break_the_head(warehouse):
    warehouse.describe(simulated=True, description="---\nlicense: none\n--- `quoted` | piped")
    files = made(warehouse)
    assert yaml.safe_load(files["README.md"].split("---\n")[1])["license"] == "mit"
    assert json.loads(files["spec.json"])["description"].startswith("---")


def test_no_text_of_a_spec_begins_a_line_of_the_card(spec):
    evil = "x\n# y|\x1b[2J"
    table = next(name for name, facts in spec["tables"].items() if "venues" in facts and "quality" in facts)
    changed = json.loads(json.dumps(spec)) | {"updated_at": evil, "cexkit_version": evil}
    changed["tables"][table] |= {"start": evil, "venues": [evil]}
    changed["tables"][table]["quality"]["checks"] |= {evil: {"rows_failed": 1}}
    text = card(changed, name=f"hf://datasets/a/{evil}")
    before = card(spec, name="hf://datasets/a/b")
    assert "\x1b" not in text
    assert text.count("\n") == before.count("\n")
