"""The demo: everything from venues to a published dataset, through Dagster, offline."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import cexkit
from cexkit.schema import TABLES
from cexkit.warehouse.quality import blocking_failures

pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline import demo as module
from cexkit_pipeline.cli import app


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One coin is enough to see all of it."""
    folder, lines = tmp_path_factory.mktemp("demo") / "demo", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COINS", ("BTC",))
        published = module.demo(folder, lines.append)
    return folder, published, "\n".join(lines)


def test_all_tables_are_published_for_all_venues_that_offer_them(ran):
    _, published, _ = ran
    market = cexkit.connect(published)
    assert market.simulated
    found = market.tables.to_pandas().reset_index().set_index("table")
    made = {table.name for table in TABLES.values()} - {"funding_weighted_8h"}
    assert made <= set(found.index[found["rows"] > 0])
    assert market.ohlcv_1h.exchange.nunique().execute() == 4
    assert market.liquidations.exchange.nunique().execute() == 3
    assert blocking_failures(market.data_quality.to_polars()).is_empty()


def test_what_was_heard_and_what_was_asked_for_is_told(ran):
    folder, published, said = ran
    assert "messages" in said
    assert "problems" in said, "okx no longer has the first of the days' liquidations, and that is said"
    assert "Silver: files of days" in said
    assert f'cexkit.connect("{published}")' in said
    assert list((folder / "warehouse/bronze").rglob("*stream*"))


def test_what_is_there_already_is_left_alone(tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    for place in (tmp_path, mine):
        done = CliRunner().invoke(app, ["demo", str(place)])
        assert isinstance(done.exception, cexkit.errors.InvalidInputError)
    assert [*tmp_path.iterdir()] == [mine]
    assert mine.read_text() == "mine"
