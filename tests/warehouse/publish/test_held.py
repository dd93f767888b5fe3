"""Tables with damaged files are held back; the others are published, and the files are named."""

from __future__ import annotations

import pytest
from huggingface_hub import HfApi

import cexkit
from cexkit.errors import DatasetError, PublicationError
from cexkit.warehouse.publish import plan, publish
from cexkit.warehouse.publish.card import card
from cexkit.warehouse.publish.spec import to_json
from cexkit.warehouse.store.keys import keys_path

from .conftest import TO


def cut(warehouse, table: str) -> str:
    """Cut the last file of a table and return its path."""
    file = warehouse.manifest.select(table)[-1]
    path = warehouse.root / file.path
    path.write_bytes(path.read_bytes()[:1_000])
    return file.path


def tables(where) -> dict[str, int]:
    """Return what a reader sees, and read every row of it."""
    market = cexkit.connect(where)
    rows = {name: market.table(name).count().execute() for name in market.tables}
    assert rows == {name: info.rows for name, info in market.tables.items()}
    return rows


def test_other_tables_are_published_and_the_file_is_named(warehouse, tmp_path):
    before, path = tables(warehouse.root), cut(warehouse, "ohlcv_1h")
    for _ in range(2):
        with pytest.raises(PublicationError, match=rf"ohlcv_1h \({path} has 1,000 bytes.*tables: (published|nothing)"):
            publish(warehouse, tmp_path / "copy")
    assert tables(tmp_path / "copy") == {name: rows for name, rows in before.items() if name != "ohlcv_1h"}
    assert "ohlcv_1h" not in (tmp_path / "copy" / "README.md").read_text()


def test_table_that_was_published_stays_as_readers_see_it(warehouse, tmp_path, refresh):
    copy = tmp_path / "copy"
    publish(warehouse, copy)
    before = tables(copy)
    refresh(warehouse)
    path = cut(warehouse, "ohlcv_1h")
    with pytest.raises(PublicationError, match=path):
        publish(warehouse, copy)
    after = tables(copy)
    assert after["ohlcv_1h"] == before["ohlcv_1h"]
    assert after["funding_rates"] > before["funding_rates"]
    assert set(after) == set(before)
    assert "| [`ohlcv_1h`](#ohlcv_1h) |" in (copy / "README.md").read_text()
    assert "an earlier state" in (copy / "README.md").read_text()


def test_once_the_file_is_back_all_is_published(warehouse, tmp_path, refresh):
    copy = tmp_path / "copy"
    publish(warehouse, copy)
    refresh(warehouse)
    path = warehouse.root / warehouse.manifest.select("ohlcv_1h")[-1].path
    content = path.read_bytes()
    cut(warehouse, "ohlcv_1h")
    with pytest.raises(PublicationError):
        publish(warehouse, copy)
    path.write_bytes(content)
    assert publish(warehouse, copy).changed
    assert tables(copy) == tables(warehouse.root)


def test_hub_gets_the_other_tables_and_no_tag(warehouse, hub, refresh):
    publish(warehouse, TO)
    before = tables(TO)
    refresh(warehouse)
    path = cut(warehouse, "ohlcv_1h")
    with pytest.raises(PublicationError, match=path):
        publish(warehouse, TO, tag="v1")
    after = tables(TO)
    assert (after["ohlcv_1h"], after["funding_rates"] > before["funding_rates"]) == (before["ohlcv_1h"], True)
    assert not HfApi(endpoint=hub.url).list_repo_refs("me/data", repo_type="dataset").tags


def test_dry_run_names_the_file_and_shows_the_plan(warehouse, tmp_path):
    path, copy = cut(warehouse, "ohlcv_1h"), tmp_path / "copy"
    for run in (lambda: publish(warehouse, copy, dry_run=True), lambda: plan(warehouse, copy)):
        with pytest.raises(PublicationError, match=rf"{path}(.|\n)*files to write"):
            run()
    assert not copy.exists()


def test_damaged_key_digests_and_quarantine_hold_their_table_back(warehouse, tmp_path):
    digests = warehouse.root / next(keys_path(file) for file in warehouse.manifest.files if file.table == "ohlcv_1h")
    digests.write_bytes(b"")
    quarantined = warehouse.root / "quarantine" / "open_interest" / "exchange=okx" / "2026.parquet"
    quarantined.parent.mkdir(parents=True)
    quarantined.write_bytes(b"")
    with pytest.raises(PublicationError, match=rf"{digests.name}.*open_interest \(.*{quarantined.name}"):
        publish(warehouse, tmp_path / "copy")
    assert {"ohlcv_1h", "open_interest"}.isdisjoint(tables(tmp_path / "copy"))


def test_instruments_are_held_back_with_what_is_made_with_them(warehouse, tmp_path):
    cut(warehouse, "instruments")
    with pytest.raises(PublicationError, match="instruments"):
        publish(warehouse, tmp_path / "copy")
    assert {"instruments", "instrument_periods"}.isdisjoint(tables(tmp_path / "copy"))


def test_nothing_is_published_if_every_table_is_damaged_or_a_check_fails(warehouse, tmp_path, spoil):
    import polars as pl

    path = cut(warehouse, "ohlcv_1h")
    spoil(warehouse, "ohlcv_1d", "okx", high=pl.col("low") / 2)
    with pytest.raises(DatasetError, match=rf"{path}.*not published, because .*ohlc_order"):
        publish(warehouse, tmp_path / "copy")
    for file in warehouse.manifest.files:
        (warehouse.root / file.path).write_bytes(b"")
    with pytest.raises(DatasetError, match="nothing was published"):
        publish(warehouse, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_control_characters_are_escaped_in_the_card_and_the_spec(warehouse):
    from cexkit.warehouse.publish.content import assemble

    warehouse.describe(simulated=False, description="one\ntwo\x1b[2J\u202e")
    spec = assemble(warehouse).spec
    spec["tables"]["funding_rates"]["venues"] = ["okx\n|\x07"]
    text = card(spec)
    assert text.replace("\n", "").isprintable()
    assert "one\ntwo\\x1b[2J\\u202e" in text
    assert r"| okx\n\|\x07 |" in text
    assert to_json(spec).replace("\n", "").isprintable()
