"""connect() at every kind of place: the same rows by the same lines, one state at a time, errors that help."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from huggingface_hub import HfApi
from ibis.common.exceptions import IbisError

import cexkit
from cexkit.errors import (
    DatasetAccessError,
    DatasetError,
    DatasetNotFoundError,
    DatasetUnreachableError,
    InvalidInputError,
    NewerSchemaError,
    UnknownTableError,
)
from cexkit.schema import SCHEMA_VERSION, TABLES
from cexkit.testing.hub import TOKEN
from cexkit.warehouse.store.base import small_bounds
from cexkit.warehouse.store.database import _load_httpfs
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.locations import hub_address, locate
from cexkit.warehouse.store.manifest import Manifest, read_manifest
from cexkit.warehouse.store.warehouse import Warehouse

KINDS = ["sample", "folder", "hub", "http", "s3"]
REMOTE = KINDS[2:]
ORDER = ["exchange", "symbol", "timestamp"]
ONE = {"exchange": "okx", "symbol": "BTCUSDT", "start": "2026-06-01"}


def rows(market, **words) -> pl.DataFrame:
    return market.table("funding_rates", **words).to_polars().sort(ORDER)


def scaled(root: Path, factor: float) -> None:
    """Publish other funding rates into a folder."""
    warehouse, table = Warehouse(root), TABLES["funding_rates"]
    frame = pl.from_arrow(warehouse.read(table)).with_columns(pl.col("funding_rate") * factor)
    warehouse.write(table, frame.to_arrow())


@pytest.fixture(scope="module")
def expected() -> dict[str, pl.DataFrame]:
    market = cexkit.connect("sample")
    return {"one": rows(market, **ONE), "all": rows(market)}


@pytest.mark.parametrize("mode", ["auto", "cache", "direct"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_lines_give_the_same_rows_everywhere(places, expected, kind, mode):
    market = cexkit.connect(places.serve(kind), mode=mode)
    assert rows(market, **ONE).equals(expected["one"])
    assert market.funding_rates.to_polars().sort(ORDER).equals(expected["all"])
    assert market.sql("select count(*) as n from funding_rates").n.sum().execute() == expected["all"].height
    assert market.simulated
    assert market.updated == read_manifest(places.root / MANIFEST).updated_at
    assert len(market.revision) == (40 if kind == "hub" else 64)
    assert market.location in repr(market)


@pytest.mark.parametrize("name", ["exchange=okx", "symbol=X", "it's", "data[1]", "d?ta1", "d*1", "100%", "ä ö"])
def test_a_folder_may_have_any_name(root, expected, name):
    """Neither is a part of its path taken for a value, nor its name for a pattern that means others too."""
    shutil.copytree(root, root.parent / "data1")
    market = cexkit.connect(root.rename(root.parent / name))
    assert market.funding_rates.to_polars().sort(ORDER).equals(expected["all"])
    assert rows(market, **ONE).equals(expected["one"])


@pytest.mark.parametrize("kind", REMOTE)
def test_what_was_read_once_is_read_offline(places, expected, kind):
    where = places.serve(kind)
    revision = cexkit.connect(where, mode="cache").revision
    assert rows(cexkit.connect(where, mode="cache"), **ONE).equals(expected["one"])
    places.stop()
    market = cexkit.connect(where, offline=True)
    assert rows(market, **ONE).equals(expected["one"])
    assert market.revision == revision
    with pytest.raises(DatasetUnreachableError, match=r"not in the cache at .*exchange=binance.*cexkit cache warm"):
        rows(market, exchange="binance")
    with pytest.raises(ConnectionError, match=r"offline=True.*cache"):
        cexkit.connect(where)


@pytest.mark.parametrize("mode", ["cache", "direct"])
@pytest.mark.parametrize("kind", ["folder", "hub", "http"])
def test_a_dataset_republished_under_a_connection_never_mixes(places, expected, kind, mode):
    where = places.serve(kind)
    market = cexkit.connect(where, mode=mode)
    before, revision = market.table("funding_rates", **ONE), market.revision
    scaled(places.root, 2.0)
    if kind == "hub":
        places.publish()
    assert before.to_polars().sort(ORDER).equals(expected["one"])
    # files of the old state that were not read before are still those of the old state
    assert rows(market).equals(expected["all"])
    assert market.refresh() is market
    assert market.revision != revision
    doubled = expected["one"].with_columns(pl.col("funding_rate") * 2.0)
    assert rows(market, **ONE).equals(doubled)
    assert before.to_polars().sort(ORDER).equals(expected["one"])
    with pytest.raises(IbisError, match="Multiple backends"):
        before.union(market.table("funding_rates", **ONE)).to_polars()


def test_questions_go_on_while_another_thread_refreshes(root, expected):
    market, done = cexkit.connect(root), threading.Event()
    once = expected["one"]["funding_rate"].sum()

    def ask(_) -> list[float]:
        found = []
        while not done.is_set():
            found.append(rows(market, **ONE)["funding_rate"].sum())
        return found

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, number) for number in range(3)]
        for factor in (2.0, 0.5, 2.0, 0.5):
            scaled(root, factor)
            market.refresh()
        done.set()
        seen = [total for future in asking for total in future.result()]
    assert seen
    assert all(total in (pytest.approx(once), pytest.approx(2 * once)) for total in seen)


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_a_file_that_is_gone_where_duckdb_reads_it_says_refresh(places, kind):
    market = cexkit.connect(places.serve(kind), mode="direct")
    scaled(places.root, 2.0)
    Warehouse(places.root).sweep(older_than_seconds=-1)
    with pytest.raises(DatasetError, match=r"a file of \w+ cannot be read.*market\.refresh\(\)"):
        rows(market)
    assert rows(market.refresh()).height > 0


def test_a_folder_of_a_web_server_that_swept_old_files_says_refresh(places):
    market = cexkit.connect(places.serve("http"), mode="cache")
    scaled(places.root, 2.0)
    Warehouse(places.root).sweep(older_than_seconds=-1)
    with pytest.raises(DatasetError, match=r"republished.*market\.refresh\(\)"):
        rows(market)
    assert rows(market.refresh()).height > 0


def test_a_branch_a_tag_and_a_commit_are_pinned(places, expected):
    where = places.serve("hub")
    commit = cexkit.connect(where).revision
    HfApi(endpoint=places.server.url, token=TOKEN).create_tag("me/data", tag="v1", repo_type="dataset")
    scaled(places.root, 2.0)
    newer = places.publish()
    assert cexkit.connect(where).revision == newer
    for pinned in (f"{where}@v1", f"{where}@{commit}"):
        market = cexkit.connect(pinned)
        assert market.revision == commit
        assert rows(market, **ONE).equals(expected["one"])
        assert market.refresh().revision == commit
    with pytest.raises(DatasetNotFoundError, match="no revision 'v9'"):
        cexkit.connect(f"{where}@v9")


@pytest.mark.parametrize("mode", ["cache", "direct"])
def test_private_datasets_by_token_which_stays_at_the_hub(places, expected, monkeypatch, capfd, mode):
    where = places.serve("hub", private=True)
    with pytest.raises(DatasetNotFoundError, match="HF_TOKEN"):
        cexkit.connect(where)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong'; drop")
    with pytest.raises(DatasetAccessError, match="refuses the token") as wrong:
        cexkit.connect(where)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    places.server.log.clear()
    market = cexkit.connect(where, mode=mode)
    assert rows(market, **ONE).equals(expected["one"])
    by_host = {(entry.request.headers["host"].split(":")[0], "authorization" in entry.request.headers)
               for entry in places.server.log}  # fmt: skip
    assert by_host == {("127.0.0.1", True), ("localhost", False)}
    shown = "".join([repr(market), market._repr_html_(), str(wrong.value), *capfd.readouterr()])
    shown += str(market.sql("select * from duckdb_secrets()").to_pandas().to_dict())
    assert TOKEN not in shown
    assert "hf_wrong" not in shown


def test_errors_of_places_say_what_is_wrong(places, monkeypatch):
    where = places.serve("http")
    with pytest.raises(DatasetNotFoundError, match="no dataset at"):
        cexkit.connect(f"{where}/nothing")
    with pytest.raises(UnknownTableError, match="did you mean 'funding_rates'"):
        cexkit.connect(where).table("funding")
    manifest = places.root / MANIFEST
    manifest.write_text(manifest.read_text().replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 999'))
    with pytest.raises(NewerSchemaError, match="upgrade"):
        cexkit.connect(where)
    with pytest.raises(DatasetUnreachableError, match=r"offline.*never opened"):
        cexkit.connect(f"{where}/other", offline=True)
    with pytest.raises(DatasetUnreachableError, match=r"cannot be reached.*offline=True.*sample"):
        cexkit.connect("http://127.0.0.1:9")
    places.serve("hub")
    with pytest.raises(DatasetNotFoundError, match="no dataset hf://datasets/me/none"):
        cexkit.connect("hf://datasets/me/none")
    places.stop()
    with pytest.raises(DatasetUnreachableError, match=r"cannot be reached.*offline=True.*sample"):
        cexkit.connect("hf://datasets/me/data@main")


@pytest.mark.parametrize(
    "where",
    [
        "hf://me/data", "hf://datasets/me", "hf://datasets/../x", "hf://datasets/me/data@", "s3://", "http://",
        "ftp://host/x", "https://user:hunter2@host/x", "https://host/x?sig=hunter2", "a\0b", "s3://key:hunter2@bucket/x",
        "hf://datasets/me/two--dashes", "hf://datasets/me/data.git", "~nobody-of-this-name/x",
        "http://[::1", "https://user:hunter2@ho℀st/x", "http://host:port/x", "http://two..dots/x", "http://a\x01b/x",
    ],
)  # fmt: skip
def test_addresses_that_make_no_sense_are_refused_without_repeating_secrets(where):
    with pytest.raises(InvalidInputError) as error:
        cexkit.connect(where)
    assert "hunter2" not in str(error.value)


def test_a_revision_is_spelled_as_it_is_or_percent_encoded():
    pull_request = ("me/data", "refs/pr/1")
    assert hub_address("hf://datasets/me/data@refs/pr/1") == hub_address("hf://datasets/me/data@refs%2Fpr%2F1/")
    assert hub_address("hf://datasets/me/data@refs/pr/1") == pull_request
    assert hub_address("hf://datasets/me/data/") == ("me/data", "main")


def test_arguments_that_make_no_sense_are_refused(places):
    where = places.serve("http")
    with pytest.raises(InvalidInputError, match="mode is one of auto, cache, direct"):
        cexkit.connect(where, mode="fast")
    with pytest.raises(InvalidInputError, match=r"offline=True goes with the cache"):
        cexkit.connect(where, mode="direct", offline=True)


def test_wrong_keys_of_s3(places, monkeypatch):
    from cexkit.config import settings

    where = places.serve("s3")
    for ask in (cexkit.connect, lambda where: locate(where).ping()):
        with pytest.raises(DatasetNotFoundError, match="no dataset at s3://nobody/here"):
            ask("s3://nobody/here")
    monkeypatch.setenv("CEXKIT_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CEXKIT_HTTP_TIMEOUT_SECONDS", "1")
    settings.cache_clear()
    with pytest.raises(DatasetUnreachableError, match="cannot be reached"):
        cexkit.connect(where)


def test_a_disk_that_is_full_is_not_said_to_be_s3_out_of_reach(places, tmp_path):
    (tmp_path / MANIFEST).symlink_to("/dev/full")
    location = locate(places.serve("s3"))
    location.ping()
    with pytest.raises(OSError, match="No space left") as error:
        location.download(MANIFEST, tmp_path, lambda _: None, small_bounds())
    assert not isinstance(error.value, DatasetError)


def test_a_big_remote_table_is_read_in_place_and_never_whole_unasked(places, expected, counted, monkeypatch):
    from cexkit.config import settings

    monkeypatch.setenv("CEXKIT_BIG_TABLE_BYTES", "200000")
    settings.cache_clear()
    market = cexkit.connect(places.serve("http"))
    assert market._snapshot.direct("funding_rates")
    assert not market._snapshot.direct("liquidations_1d")
    for ask in (lambda: market.funding_rates, lambda: market.sql("select * from Funding_Rates")):
        with pytest.raises(InvalidInputError, match=r" at .* MB, .*market\.table\('funding_rates'"):
            ask()
    assert market.sql("select 'funding_rates' as name").name.execute().tolist() == ["funding_rates"]
    assert rows(market).equals(expected["all"])
    settings.cache_clear()


@pytest.mark.parametrize(
    ("kind", "mode", "requests"),
    # the state, the manifest; the instruments and one file of data, each with a redirect on the hub
    [("hub", "cache", 3 + 2 * 2), ("http", "cache", 1 + 2), ("http", "direct", 10), ("hub", "direct", 16)],
)
def test_one_question_takes_few_requests_and_then_none(places, expected, counted, kind, mode, requests):
    market = cexkit.connect(places.serve(kind), mode=mode)
    assert rows(market, **ONE).equals(expected["one"])
    assert len(counted()) <= requests
    assert rows(market, **ONE).equals(expected["one"])
    assert rows(market, **ONE, end="2026-06-20").height < expected["one"].height
    assert counted() == []


def test_a_commit_known_before_is_not_asked_for_again(places, counted):
    where = places.serve("hub")
    cexkit.connect(where)
    counted()
    cexkit.connect(where)
    assert counted() == [("GET", "info")]


def test_downloads_are_tried_again_where_that_can_help(places, expected):
    from cexkit.testing.hub import cut, on
    from cexkit.testing.loopback import server_error

    broken = [cut(on("file", 3), after=1000), server_error(on("file", 5))]
    market = cexkit.connect(places.serve("http", faults=broken), mode="cache")
    assert rows(market).equals(expected["all"])
    assert {logged.fault for logged in places.server.log} >= {"cut"}


@pytest.mark.parametrize("mode", ["cache", "direct"])
def test_threads_share_a_market(places, mode):
    market = cexkit.connect(places.serve("http"), mode=mode)
    whole = cexkit.connect("sample").funding_rates.to_polars()
    names = whole.select("exchange", "symbol").unique().sort("exchange", "symbol").rows()
    barrier = threading.Barrier(8)

    def ask(number: int) -> bool:
        barrier.wait()
        for _ in range(2):
            for exchange, symbol in names[number::8]:
                table = market.table("funding_rates", exchange=exchange, symbol=symbol)
                found = table.to_polars().sort("timestamp")
                if not found.equals(whole.filter(exchange=exchange, symbol=symbol).sort("timestamp")):
                    return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


def test_batches_are_whole_whatever_is_asked_meanwhile():
    market = cexkit.connect("sample")
    one, two = (market.table("funding_rates", exchange=name).order_by(ORDER) for name in ("okx", "bybit"))
    left, right = (table.to_pyarrow_batches(chunk_size=2048) for table in (one, two))
    begun = next(left)
    two.count().execute()
    assert pa.Table.from_batches([begun, *left]).equals(one.to_pyarrow())
    assert pa.Table.from_batches(right).equals(two.to_pyarrow())


def test_tables_of_two_markets_are_never_taken_for_one(root):
    scaled(root, 2.0)
    one, two = cexkit.connect("sample").funding_rates, cexkit.connect(root).funding_rates
    assert two.funding_rate.sum().execute() == pytest.approx(2 * one.funding_rate.sum().execute())
    with pytest.raises(IbisError, match="Multiple backends"):
        one.union(two).to_polars()


def test_the_extension_that_caches_blocks_works_or_says_why_not(places, expected):
    market = cexkit.connect(places.serve("http"), mode="direct", cache="cache_httpfs")
    try:
        found = rows(market, **ONE)
    except DatasetError as error:
        assert "community extension cache_httpfs" in str(error)  # noqa: PT017
        assert "Leave cache='cache_httpfs' out" in str(error)  # noqa: PT017
    else:
        assert found.equals(expected["one"])


def test_a_duckdb_that_cannot_read_over_the_network_says_what_brings_it(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    base = duckdb.connect(config={"extension_directory": str(tmp_path)})
    base.execute("SET custom_extension_repository = 'http://127.0.0.1:9'")
    with pytest.raises(DatasetError, match=r"pip install duckdb-extension-httpfs==.*mode='cache'"):
        _load_httpfs(base)


def hostile(name: str, value: object):
    return lambda files: (replace(files[0], **{name: value}), *files[1:])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("path", "../outside.parquet"), ("path", "/etc/passwd"), ("path", "tables/../../x.parquet"),
        ("path", "http://elsewhere/x.parquet"), ("path", "tables/\0.parquet"), ("path", "tables/*.parquet"),
        ("path", "tables\\..\\x.parquet"), ("path", "tables/．．/x.parquet"), ("path", "tables//x.parquet"),
        ("path", ""),
        ("table", 'x"; drop table y; --'), ("table", "_private"), ("sha256", "../../x"), ("sha256", ""), ("rows", -1),
        ("exchange", 5), ("exchange", ["okx"]), ("period", 2026),
    ],
)  # fmt: skip
def test_manifests_that_lead_elsewhere_are_refused(root, name, value):
    manifest = read_manifest(root / MANIFEST)
    (root / MANIFEST).write_text(replace(manifest, files=hostile(name, value)(manifest.files)).to_json())
    with pytest.raises(DatasetError, match="is not a manifest"):
        cexkit.connect(root)


def test_a_manifest_that_names_two_files_for_one_place_is_refused(root):
    manifest = read_manifest(root / MANIFEST)
    other = replace(manifest.files[0], path=manifest.files[0].path.replace(".parquet", "-1.parquet"))
    (root / MANIFEST).write_text(replace(manifest, files=(*manifest.files, other)).to_json())
    with pytest.raises(DatasetError, match=r"is not a manifest.*more than one file of"):
        cexkit.connect(root)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(b"\xff\xfe\0"), "cannot be read.*utf-8"),
        (lambda path: path.mkdir(), "cannot be read.*Is a directory"),
        (lambda path: path.write_text(replace(Manifest(), updated_at=None).to_json()), "is not a manifest"),
    ],
    ids=["binary", "a folder", "without a time"],
)
def test_what_is_no_manifest_is_an_error_that_names_it(tmp_path, spoil, says):
    spoil(tmp_path / MANIFEST)
    for read in (cexkit.connect, lambda root: Warehouse(root).manifest):
        with pytest.raises(DatasetError, match=rf"{tmp_path}.*{says}"):
            read(tmp_path)
