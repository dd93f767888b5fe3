"""No publication loses keys silently: what is lost is found exactly, refused, and published only if allowed."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

import cexkit
from cexkit.errors import DatasetError, InvalidInputError, PublicationError, UnknownNameError, UnknownTableError
from cexkit.schema import TABLES, Table
from cexkit.schema.render import to_polars
from cexkit.testing._hub_repo import Entry, git_sha1
from cexkit.testing.hub import on
from cexkit.testing.loopback import server_error
from cexkit.warehouse.gold.build import build_gold
from cexkit.warehouse.publish import Loss, plan, publish
from cexkit.warehouse.publish import comparison as comparison_module
from cexkit.warehouse.publish import folder as folder_module
from cexkit.warehouse.publish.comparison import Dataset, find_losses
from cexkit.warehouse.publish.losses import AllowedLosses
from cexkit.warehouse.store import keys as keys_module
from cexkit.warehouse.store.keys import keys_path
from cexkit.warehouse.store.manifest import Manifest
from cexkit.warehouse.store.warehouse import Warehouse

from ...lengths import examples
from .conftest import REPO, TO, named, tree

HOURS, MINUTES, FUNDING = TABLES["ohlcv_1h"], TABLES["ohlcv_1m"], TABLES["funding_rates"]
LIQUIDATIONS, INSTRUMENTS = TABLES["liquidations"], TABLES["instruments"]


def rows_of(table: Table, found: list[tuple]) -> pl.DataFrame:
    """Return rows with these keys; all other columns have the same values."""
    other = {"string": "X", "float64": 1.0, "int64": 1, "boolean": False}
    times = datetime(2024, 1, 1, tzinfo=UTC)
    columns = {
        field.name: [None if field.nullable else other.get(field.type, times)] * len(found) for field in table.fields
    }
    columns |= dict(zip(table.key, map(list, zip(*found, strict=True)), strict=True)) if found else {}
    return pl.DataFrame(columns, schema=to_polars(table))


def dataset(warehouse: Warehouse) -> Dataset:
    return Dataset(warehouse.manifest, warehouse.root.joinpath)


def without_digests(warehouse: Warehouse) -> Dataset:
    """Return the same state as an earlier version published it."""
    files = tuple(replace(file, keys_sha256=None) for file in warehouse.manifest.files)
    return Dataset(replace(warehouse.manifest, files=files), warehouse.root.joinpath)


def change(warehouse: Warehouse, table: Table, keep: pl.Expr, exchange: str = "okx") -> pl.DataFrame:
    """Keep some rows of a venue's table; return the other rows."""
    rows = pl.from_arrow(warehouse.read(table, exchange=exchange))
    warehouse.write(table, rows.filter(keep).to_arrow())
    return rows.filter(~keep)


#: Few instruments and times around month and year boundaries, so that random sets overlap.
times = st.builds(
    lambda month, minutes: datetime(2024, month, 1, tzinfo=UTC) + timedelta(minutes=minutes),
    st.sampled_from([1, 2, 3]),
    st.integers(-3, 3),
)
names = st.sampled_from(["BTCUSDT", "ETHUSDT", "XRPUSDT"])
identities = st.tuples(st.just("okx"), st.sampled_from(["spot", "perp"]), names)
bar_keys = st.tuples(st.just("okx"), st.just("perp"), names, times)
events = st.tuples(
    st.sampled_from(["long", "short"]), st.sampled_from([1.0, 2.0]), st.sampled_from([1.0]), st.integers(0, 1)
)
KEYS = {
    "ohlcv_1h": bar_keys,
    "ohlcv_1m": bar_keys,
    "liquidations": st.builds(lambda key, event: (*key, *event), bar_keys, events),
    "instruments": identities,
}


def written(root: Path, table: Table, found: set[tuple], *, in_pieces: bool) -> Warehouse:
    """Write keys in one file per period, or months in a file per day."""
    warehouse, rows = Warehouse(root), rows_of(table, sorted(found))
    if not in_pieces or table.period != "month":
        warehouse.write(table, rows.to_arrow())
        return warehouse
    for (day,), part in rows.group_by(pl.col("timestamp").dt.strftime("%Y-%m-%d")):
        warehouse.replace(table, "okx", [day], part.to_arrow())
    return warehouse


@pytest.mark.parametrize("name", list(KEYS))
@tries(max_examples=examples(25, 200), deadline=None)
@given(data=st.data())
def test_lost_keys_are_found_exactly(name, data, tmp_path_factory):
    """However the two states are split into files, and with or without stored digests."""
    table, folder = TABLES[name], tmp_path_factory.mktemp("losses")
    old = data.draw(st.sets(KEYS[name], min_size=1, max_size=25), label="old")
    removed = data.draw(st.sets(st.sampled_from(sorted(old)), max_size=4), label="removed")
    new = (old - removed) | data.draw(st.sets(KEYS[name], max_size=5), label="added")
    published = written(folder / "old", table, old, in_pieces=data.draw(st.booleans()))
    ours = written(folder / "new", table, new, in_pieces=data.draw(st.booleans()))
    lost = old - new
    state = dataset(published) if data.draw(st.booleans()) else without_digests(published)
    found = find_losses(dataset(ours), state)
    if not lost:
        assert found == ()
        return
    (loss,) = found
    assert (loss.table, loss.exchange, loss.keys, loss.uncompared) == (name, "okx", len(lost), ())
    if new or state.manifest.files[0].keys_sha256:
        assert set(loss.instruments) == {f"{key[1]} {key[2]}" for key in lost}
        assert set(loss.months) == ({f"{key[3]:%Y-%m}" for key in lost} if table.time else set())


def test_digest_that_is_constant_hides_losses(tmp_path, monkeypatch):
    """A mutation of the digest that the tests above must notice."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    old = {("okx", "perp", "BTCUSDT", start + timedelta(hours=hour)) for hour in range(9)}
    new = {*sorted(old)[1:], ("okx", "perp", "BTCUSDT", start + timedelta(hours=50))}

    def losses(folder: Path) -> tuple[Loss, ...]:
        ours, published = (
            written(folder / name, HOURS, found, in_pieces=False) for name, found in (("new", new), ("old", old))
        )
        return find_losses(dataset(ours), dataset(published))

    assert [loss.keys for loss in losses(tmp_path / "right")] == [1]
    monkeypatch.setattr(keys_module, "_total", lambda hashes: 1)
    assert losses(tmp_path / "mutated") == ()


def test_one_key_lost_and_two_added_is_one_loss(warehouse, tmp_path):
    publish(warehouse, tmp_path / "copy")
    rows = pl.from_arrow(warehouse.read(HOURS, exchange="okx"))
    gone = (pl.col("symbol") == "BTCUSDT") & (pl.col("timestamp") == datetime(2026, 6, 3, 7, tzinfo=UTC))
    gone &= pl.col("instrument_type") == "perp"
    last = rows.filter(symbol="BTCUSDT", instrument_type="perp")[-1:]
    added = [last.with_columns(pl.col("timestamp") + timedelta(hours=hours)) for hours in (1, 2)]
    warehouse.write(HOURS, pl.concat([rows.filter(~gone), *added]).to_arrow())
    with pytest.raises(PublicationError) as error:
        publish(warehouse, tmp_path / "copy")
    assert "ohlcv_1h of okx: 1 key of 1 instrument (perp BTCUSDT) in 1 month (2026-06)" in str(error.value)
    assert "`--allow-loss ohlcv_1h:okx` (allow_loss=['ohlcv_1h:okx'])" in str(error.value)


def test_two_instruments_of_which_one_vanishes(warehouse, tmp_path):
    publish(warehouse, tmp_path / "copy")
    before = {path: path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    lost = change(warehouse, FUNDING, pl.col("base") != "ETH")
    symbols = sorted({f"perp {symbol}" for symbol in lost["symbol"]})
    said = f"funding_rates of okx: {lost.height} keys of {len(symbols)} instruments? \\({', '.join(symbols)}\\)"
    for do in (plan, publish):
        with pytest.raises(PublicationError, match=said):
            do(warehouse, tmp_path / "copy")
    assert {path: path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file()} == before


def test_all_losses_are_listed(warehouse, tmp_path):
    publish(warehouse, tmp_path / "copy")
    change(warehouse, HOURS, pl.col("timestamp").dt.day() > 2)
    warehouse.remove(FUNDING, "binance", "2026")
    warehouse.remove(TABLES["liquidations_1d"], None, "all")
    with pytest.raises(PublicationError) as error:
        publish(warehouse, tmp_path / "copy")
    options = ["funding_rates:binance", "liquidations_1d", "ohlcv_1h:okx"]
    assert " ".join(f"--allow-loss {option}" for option in options) in str(error.value)
    done = publish(warehouse, tmp_path / "copy", allow_loss=["funding_rates:Binance", *options[1:2], "ohlcv_1h:OKX"])
    assert [loss.allowance for loss in done.lost] == options
    assert [loss.keys > 0 for loss in done.lost] == [True] * 3
    for loss in done.lost:
        assert f"lost, as allowed: {loss}" in str(done)


def test_loss_of_one_table_is_not_allowed_by_another(warehouse, tmp_path):
    publish(warehouse, tmp_path / "copy")
    change(warehouse, HOURS, pl.col("timestamp").dt.day() != 3)
    others = ["ohlcv_1h:binance", "funding_rates", "instruments:coinbase"]
    with pytest.raises(PublicationError, match="ohlcv_1h of okx"):
        publish(warehouse, tmp_path / "copy", allow_loss=others)
    done = publish(warehouse, tmp_path / "copy", allow_loss="ohlcv_1h")
    assert [loss.allowance for loss in done.lost] == ["ohlcv_1h:okx"]
    assert publish(warehouse, tmp_path / "copy", allow_loss="ohlcv_1h").lost == (), "the published state lacks them"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("ohlcv_1hh", UnknownTableError),
        ("ohlcv_1h:okxx", UnknownNameError),
        ("", InvalidInputError),
        (":okx", InvalidInputError),
        ("ohlcv_1h:", InvalidInputError),
    ],
)
def test_wrong_allowance_is_an_error(warehouse, tmp_path, name, error):
    for do in (plan, publish):
        with pytest.raises(error):
            do(warehouse, tmp_path / "copy", allow_loss=[name])
    assert not list((tmp_path / "copy").glob("*.json"))


def test_table_of_a_later_version_can_only_go_by_name(warehouse, tmp_path):
    later = replace(warehouse.manifest.files[0], table="order_books", exchange="kraken", rows=7)
    published = Dataset(Manifest(files=(later,)), tmp_path.joinpath)
    (loss,) = find_losses(dataset(warehouse), published)
    assert (loss.allowance, loss.keys) == ("order_books:kraken", 7)
    AllowedLosses.of(["order_books:kraken"]).require_known([published.manifest])


def test_recomputed_gold_table_is_no_loss(warehouse, tmp_path):
    publish(warehouse, tmp_path / "copy")
    gold = TABLES["liquidations_1d"]
    warehouse.write(gold, warehouse.read(gold).slice(1))
    assert publish(warehouse, tmp_path / "copy").lost == ()


def test_gold_table_that_has_no_rows_any_more_is_no_loss(warehouse, tmp_path):
    """The rows of an outage of OKX go when it is back, because it does not state the value of its open interest."""
    interest, gold = TABLES["open_interest"], TABLES["funding_weighted_8h"]
    rows = pl.from_arrow(warehouse.read(interest))
    unstated = pl.when(pl.col("exchange") != "okx").then("open_interest_quote")
    warehouse.remove(interest, "okx", "2026")
    build_gold(warehouse, gold.name)
    publish(warehouse, tmp_path / "copy")
    warehouse.write(interest, rows.with_columns(open_interest_quote=unstated).to_arrow())
    assert build_gold(warehouse, gold.name) == ()
    done = publish(warehouse, tmp_path / "copy")
    assert (done.changed, done.lost) == (True, ())
    assert not Warehouse(tmp_path / "copy").manifest.select(gold.name)


@pytest.mark.parametrize("keep", [pl.col("event") != 0, pl.col("side") != "long"])
def test_one_of_several_events_at_one_time_is_missed(tmp_path, keep):
    moment = datetime(2024, 1, 31, 23, 59, tzinfo=UTC)
    events = [
        ("okx", "perp", "BTCUSDT", moment, side, 1.0, 1.0, event) for side in ("long", "short") for event in (0, 1)
    ]
    published, ours = (written(tmp_path / n, LIQUIDATIONS, set(events), in_pieces=False) for n in ("old", "new"))
    assert change(ours, LIQUIDATIONS, keep).height == 2
    assert [loss.keys for loss in find_losses(dataset(ours), dataset(published))] == [2]


def test_files_of_both_states_are_never_opened(tmp_path):
    """Closed years cost nothing, and the refresh of the current one is proven by digests and our own keys."""
    start = datetime(2023, 12, 31, 12, tzinfo=UTC)
    found = {("okx", "perp", "BTCUSDT", start + timedelta(hours=hour)) for hour in range(24)}
    published = written(tmp_path / "old", HOURS, found, in_pieces=False)
    later = {("okx", "perp", "BTCUSDT", start + timedelta(hours=24))}
    ours = written(tmp_path / "new", HOURS, found | later, in_pieces=False)
    closed, current = published.manifest.files
    assert closed in ours.manifest.files
    opened: dict[str, set[str]] = {"ours": set(), "published": set()}

    def watched(warehouse: Warehouse, name: str) -> Dataset:
        def locate(path: str) -> Path:
            opened[name].add(path)
            return warehouse.root / path

        return Dataset(warehouse.manifest, locate)

    assert find_losses(watched(ours, "ours"), watched(published, "published")) == ()
    assert opened["published"] == {keys_path(current)}
    assert opened["ours"] == set(named(ours.manifest)) - {closed.path, keys_path(closed)}


@pytest.mark.parametrize("harm", ["digests", "data", "both"])
def test_damaged_published_files_do_not_hide_losses(warehouse, tmp_path, harm):
    """Damaged digests are replaced by the data; keys of damaged data count as lost if they cannot be proven."""
    publish(warehouse, tmp_path / "copy")
    (file,) = (f for f in warehouse.manifest.files if (f.table, f.exchange) == ("ohlcv_1h", "okx"))
    lost = change(warehouse, HOURS, pl.col("timestamp").dt.day() != 3).height
    if harm != "data":
        (tmp_path / "copy" / keys_path(file)).write_bytes(b"")
    if harm != "digests":
        (tmp_path / "copy" / file.path).unlink()
    (loss,) = publish(warehouse, tmp_path / "copy", allow_loss="ohlcv_1h:okx").lost
    if harm == "digests":
        assert (loss.keys, loss.uncompared) == (lost, ())
    else:
        assert (loss.keys, loss.uncompared) == (file.rows, (file.path,))
        assert f"1 file ({file.path}) could not be compared" in str(loss)


def test_our_own_damaged_digests_are_not_published(warehouse, tmp_path):
    path = warehouse.root / next(keys_path(file) for file in warehouse.manifest.files if file.keys_sha256)
    path.unlink()
    with pytest.raises(DatasetError, match=rf"{path.name} is missing"):
        publish(warehouse, tmp_path / "copy")
    assert not list((tmp_path / "copy").rglob(path.name))


@pytest.mark.parametrize("stop", [0, 3, 10**6])
def test_first_publication_that_was_interrupted_is_continued(warehouse, tmp_path, refresh, monkeypatch, stop):
    """Even by a later state: its files and those of the interrupted one are distinguished by the manifest."""
    copy, written, write = tmp_path / "copy", [], folder_module.Folder._write

    def interrupted(self: folder_module.Folder, piece) -> None:
        if len(written) == stop or piece.path == "manifest.json":
            raise KeyboardInterrupt
        written.append(piece.path)
        write(self, piece)

    with monkeypatch.context() as patch:
        patch.setattr(folder_module.Folder, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            publish(warehouse, copy)
    refresh(warehouse)
    publish(warehouse, copy)
    found = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    made = {"README.md", "spec.json", "manifest.json", ".manifest.lock"}
    assert found == set(named(warehouse.manifest)) | made


def test_copy_that_lost_its_manifest_is_not_deleted(warehouse, tmp_path, refresh):
    publish(warehouse, tmp_path / "copy")
    (tmp_path / "copy" / "manifest.json").unlink()
    refresh(warehouse)
    with pytest.raises(PublicationError, match="not a cexkit dataset"):
        publish(warehouse, tmp_path / "copy", allow_loss=list(TABLES))


class TestHub:
    def downloads(self, hub) -> set[str]:
        """Return the paths of published files that were downloaded."""
        urls = [unquote(logged.request.path) for logged in hub.requests("resolve")]
        paths = {url.partition("/resolve/")[2].partition("/")[2] for url in urls}
        return {path for path in paths if path != "manifest.json"}

    def test_lost_keys_are_refused_and_allowed(self, warehouse, hub):
        first = publish(warehouse, TO)
        old = cexkit.connect(f"{TO}@{first.revision}")
        rows = old.ohlcv_1h.count().execute()
        lost = change(warehouse, HOURS, pl.col("timestamp").dt.day() != 3).height
        with pytest.raises(PublicationError, match=f"ohlcv_1h of okx: {lost} keys .*--allow-loss ohlcv_1h:okx"):
            publish(warehouse, TO)
        assert hub.repos[REPO].branches["main"] == first.revision
        done = publish(warehouse, TO, allow_loss=["ohlcv_1h:okx"])
        assert [loss.keys for loss in done.lost] == [lost]
        assert set(tree(hub)) >= set(named(warehouse.manifest))
        assert cexkit.connect(f"{TO}@{first.revision}").ohlcv_1h.count().execute() == rows, (
            "an old revision stays whole"
        )
        assert cexkit.connect(TO).ohlcv_1h.count().execute() == rows - lost

    def test_refresh_downloads_digests_of_replaced_files_only(self, warehouse, hub, refresh):
        publish(warehouse, TO)
        before = set(named(warehouse.manifest))
        refresh(warehouse)
        hub.log.clear()
        publish(warehouse, TO)
        replaced = before - set(named(warehouse.manifest))
        assert self.downloads(hub) == {path for path in replaced if path.startswith("keys/")}

    def test_only_the_file_in_doubt_is_downloaded(self, warehouse, hub):
        publish(warehouse, TO)
        old = {(f.table, f.exchange): f for f in warehouse.manifest.files}["ohlcv_1h", "okx"]
        change(warehouse, HOURS, pl.col("timestamp").dt.day() != 3)
        hub.log.clear()
        with pytest.raises(PublicationError, match="ohlcv_1h of okx"):
            publish(warehouse, TO)
        assert self.downloads(hub) == {old.path, keys_path(old)}

    def test_dataset_published_without_digests_is_compared_by_its_rows(self, warehouse, hub, refresh):
        publish(warehouse, TO)
        files = tuple(replace(file, keys_sha256=None) for file in warehouse.manifest.files)
        older = replace(warehouse.manifest, files=files).to_json().encode()
        hub.blobs.add_bytes(git_sha1(older), older)
        kept = {path: entry for path, entry in tree(hub).items() if not path.startswith("keys/")}
        hub.repos[REPO].put("main", kept | {"manifest.json": Entry(git_sha1(older), len(older))}, "older")
        refresh(warehouse)
        lost = change(warehouse, HOURS, pl.col("timestamp").dt.day() != 3).height
        with pytest.raises(PublicationError, match=f"ohlcv_1h of okx: {lost} keys"):
            publish(warehouse, TO)
        assert publish(warehouse, TO, allow_loss="ohlcv_1h:okx").lost[0].keys == lost
        assert {path for path in tree(hub) if path.startswith("keys/")} <= set(named(warehouse.manifest))

    def test_transient_errors_of_downloads_are_retried(self, warehouse, hub, refresh):
        publish(warehouse, TO)
        refresh(warehouse)
        hub.faults = (server_error(on("resolve", 1, 2), 503),)
        publish(warehouse, TO)
        assert [logged.fault for logged in hub.requests("resolve")][:2] == [hub.faults[0].name] * 2

    def test_download_that_stays_impossible_changes_nothing(self, warehouse, hub, refresh):
        first = publish(warehouse, TO)
        refresh(warehouse)
        hub.faults = (server_error(on("resolve"), 503),)
        with pytest.raises(PublicationError, match="Nothing was changed"):
            publish(warehouse, TO)
        assert hub.repos[REPO].branches["main"] == first.revision

    def test_loss_against_a_head_that_moved_is_found(self, warehouse, hub, refresh, tmp_path):
        """Another process publishes more keys between plan and commit: the next plan sees that they would be lost."""
        publish(warehouse, TO)
        other = Warehouse(shutil.copytree(warehouse.root, tmp_path / "other"))
        refresh(other)
        warehouse.describe(simulated=True, description="Written last.")
        newer = replace(other.manifest, updated_at=warehouse.manifest.updated_at - timedelta(seconds=1))
        done = []

        def publish_other(request) -> bool:
            if request.route == "commit" and not done:
                done.append(True)
                entries = {}
                for path, content in {
                    "manifest.json": newer.to_json().encode(),
                    **{path: (other.root / path).read_bytes() for path in named(newer)},
                }.items():
                    hub.blobs.add_bytes(git_sha1(content), content)
                    entries[path] = Entry(git_sha1(content), len(content))
                hub.repos[REPO].put("main", entries, "other")
            return False

        hub.faults = (replace(server_error(on("commit")), when=publish_other),)
        with pytest.raises(PublicationError, match="holds keys that this dataset lacks"):
            publish(warehouse, TO)


def test_random_histories_never_lose_keys_unnoticed(tmp_path):
    """States published one after the other: the copy holds every key ever published but those reported as lost."""
    randomly, published = random.Random(3), set()
    start = datetime(2024, 1, 31, 20, tzinfo=UTC)
    universe = [
        ("okx", "perp", name, start + timedelta(hours=hour)) for name in ("BTCUSDT", "ETHUSDT") for hour in range(9)
    ]
    warehouse, copy = Warehouse(tmp_path / "warehouse"), tmp_path / "copy"
    for _ in range(12):
        state = set(randomly.sample(universe, randomly.randint(1, len(universe))))
        warehouse.write(HOURS, rows_of(HOURS, sorted(state)).to_arrow())
        warehouse.describe(simulated=True, description=str(randomly.random()))
        done = publish(warehouse, copy, allow_loss="ohlcv_1h")
        assert sum(loss.keys for loss in done.lost) == len(published - state)
        published = state


def test_months_are_compared_in_batches_of_one_file_period(tmp_path, monkeypatch):
    """The hashes of one month of 1-minute bars are in memory at a time."""
    start = datetime(2024, 1, 31, 12, tzinfo=UTC)
    found = {("okx", "perp", "BTCUSDT", start + timedelta(hours=hour)) for hour in range(24)}
    published = written(tmp_path / "old", MINUTES, found, in_pieces=False)
    ours = written(tmp_path / "new", MINUTES, set(sorted(found)[1:-1]), in_pieces=False)
    batches, hashes = [], comparison_module.Dataset.hashes

    def watched(self, files, table, groups):
        batches.append({group.month for group in groups})
        return hashes(self, files, table, groups)

    monkeypatch.setattr(comparison_module.Dataset, "hashes", watched)
    assert [loss.keys for loss in find_losses(dataset(ours), dataset(published))] == [2]
    assert {tuple(months) for months in batches} == {("2024-01",), ("2024-02",)}
