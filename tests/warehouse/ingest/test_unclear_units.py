"""A listed name with an unexplained number is kept and reported, by `fetch` and by a pull."""

from __future__ import annotations

import httpx
import pytest

from cexkit.errors import UnclearUnitWarning
from cexkit.exchanges.fetcher import Fetcher
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.warehouse import Warehouse


def _listed(base: str, status: str = "online") -> dict:
    return {
        "id": f"{base}-USD", "base_currency": base, "quote_currency": "USD", "quote_increment": "0.01",
        "base_increment": "0.01", "status": status,
    }  # fmt: skip


@pytest.fixture
def fetcher():
    products = [_listed("BTC"), _listed("SHIB1000"), _listed("NIKKEI2000"), _listed("OLD5000", "delisted")]
    bodies = {"/products": products}

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=bodies.get(request.url.path, {"jsonrpc": "2.0", "result": []}))

    with Fetcher(transport=httpx.MockTransport(respond)) as reader:
        yield reader


def test_fetch_warns_and_keeps_the_instrument(fetcher):
    with pytest.warns(UnclearUnitWarning, match=r"coinbase: .*: NIKKEI2000-USD \(base NIKKEI2000\)\. Base and"):
        listed = fetcher.fetch("coinbase", "instruments", instrument_type="spot")
    units = dict(zip(listed["base"].to_pylist(), listed["multiplier"].to_pylist(), strict=True))
    assert units == {"BTC": 1.0, "SHIB": 1000.0, "NIKKEI2000": 1.0, "OLD5000": 1.0}


def test_a_pull_reports_it_and_keeps_the_instrument(fetcher, tmp_path):
    report = pull("coinbase", "instruments", warehouse=tmp_path, fetcher=fetcher)
    (problem,) = report.problems
    assert "NIKKEI2000-USD" in str(problem)
    assert "OLD5000" not in str(problem)
    assert Warehouse(tmp_path).manifest.select("instruments")[0].rows == 4
