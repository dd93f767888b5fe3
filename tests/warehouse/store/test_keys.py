"""Key digests: equal exactly if the keys are equal, and stored with each Silver file."""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from cexkit.errors import DatasetError
from cexkit.schema import TABLES, Table
from cexkit.warehouse.store import keys, layout
from cexkit.warehouse.store import warehouse as warehouse_module
from cexkit.warehouse.store.keys import (
    Digest,
    Group,
    broken_keys,
    contains_run,
    file_digests,
    group_hashes,
    key_digests,
    key_hashes,
    keys_path,
    merged,
    read_digests,
    write_digests,
)
from cexkit.warehouse.store.manifest import Manifest
from cexkit.warehouse.store.warehouse import Warehouse

FUNDING, LIQUIDATIONS, INSTRUMENTS = (TABLES[name] for name in ("funding_rates", "liquidations", "instruments"))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MASK = (1 << 64) - 1

names = st.sampled_from(["BTCUSDT", "ETHUSDT", "1000PEPEUSDT", "BTCUSD:BTC", "币安人生USDT"])
kinds = st.sampled_from(["spot", "perp"])
#: Close to month boundaries, so that equal and adjacent months are frequent.
times = st.builds(
    lambda month, delta: datetime(2024, month, 1, tzinfo=UTC) + timedelta(microseconds=delta),
    st.integers(1, 4),
    st.integers(-3, 3),
)
instrument_keys = st.tuples(st.just("okx"), kinds, names)
funding_keys = st.tuples(st.just("okx"), kinds, names, times)
liquidation_keys = st.tuples(
    st.just("okx"),
    kinds,
    names,
    times,
    st.sampled_from(["long", "short"]),
    st.sampled_from([0.1, 0.2, 0.1 + 0.2, 1e-300]),
    st.sampled_from([1.0, 2.0]),
    st.integers(-2, 2),
)
TABLE_KEYS = [(FUNDING, funding_keys), (LIQUIDATIONS, liquidation_keys), (INSTRUMENTS, instrument_keys)]
by_table = pytest.mark.parametrize(("table", "key"), TABLE_KEYS, ids=lambda value: getattr(value, "name", ""))


def rows_of(table: Table, found: list[tuple]) -> pa.Table:
    columns = list(zip(*found, strict=True)) or [()] * len(table.key)
    types = {"string": pa.string(), "float64": pa.float64(), "int64": pa.int64()}
    fields = {field.name: types.get(field.type, pa.timestamp("us", "UTC")) for field in table.fields}
    return pa.table([pa.array(c, fields[n]) for n, c in zip(table.key, columns, strict=True)], names=list(table.key))


def splitmix(value: int) -> int:
    """The published algorithm, in integers of any size."""
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def bits(value: object) -> int:
    if isinstance(value, str):
        return int.from_bytes(hashlib.sha256(value.encode()).digest()[:8], "little")
    if isinstance(value, datetime):
        return ((value - EPOCH) // timedelta(microseconds=1)) & MASK
    return struct.unpack("<Q", struct.pack("<d", value))[0] if isinstance(value, float) else value & MASK


def naive_hash(key: tuple) -> int:
    state = 0
    for value in key:
        state = splitmix(state ^ bits(value))
    return state


def naive_digests(table: Table, found: list[tuple]) -> dict[Group, Digest]:
    digests: dict[Group, Digest] = {}
    for key in found:
        group = Group(key[:3], f"{key[3]:%Y-%m}" if table.time else "all")
        digests[group] = digests.get(group, Digest(0, 0)).plus(Digest(1, naive_hash(key)))
    return digests


def test_mix_is_splitmix64():
    """First outputs of the reference implementation with seed 0."""
    values = np.array([0, 0x9E3779B97F4A7C15], dtype=np.uint64)
    keys._mix(values)
    assert [hex(value) for value in values] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4"]


def test_hashes_never_change():
    """Digests of published files must stay comparable, so these numbers are part of the format."""
    funding = ("okx", "perp", "BTCUSDT", datetime(2026, 6, 30, 23, 59, 59, 999_999, tzinfo=UTC))
    liquidation = (*funding, "long", 61_000.5, 0.25, 3)
    assert [hex(hash_) for hash_ in key_hashes(rows_of(FUNDING, [funding]), FUNDING)] == ["0xdb12f09881869201"]
    assert [hex(hash_) for hash_ in key_hashes(rows_of(LIQUIDATIONS, [liquidation]), LIQUIDATIONS)] == [
        "0xea1add299fc6ccc"
    ]


@by_table
@tries(deadline=None)
@given(data=st.data())
def test_digests_agree_with_plain_python(table, key, data):
    found = data.draw(st.lists(key, max_size=30))
    assert key_digests(rows_of(table, found), table) == naive_digests(table, found)


@by_table
@tries(deadline=None)
@given(data=st.data())
def test_digests_are_equal_exactly_if_keys_are(table, key, data):
    found = data.draw(st.lists(key, max_size=12, unique=True))
    other = data.draw(st.one_of(st.permutations(found), st.lists(key, max_size=12, unique=True)))
    same = Counter(found) == Counter(other)
    assert (key_digests(rows_of(table, found), table) == key_digests(rows_of(table, other), table)) == same


@by_table
@tries(deadline=None)
@given(data=st.data())
def test_digests_do_not_depend_on_the_split_into_files(table, key, data):
    found = data.draw(st.lists(key, max_size=30))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(found)), max_size=4)))
    parts = [found[start:end] for start, end in zip([0, *cuts], [*cuts, len(found)], strict=True)]
    whole = key_digests(rows_of(table, found), table)
    assert merged(key_digests(rows_of(table, part), table) for part in parts) == whole


def test_digests_change_with_every_key_column():
    key = ("okx", "perp", "BTCUSDT", datetime(2026, 6, 1, tzinfo=UTC), "long", 1.0, 2.0, 0)
    others = [
        ("okx2", *key[1:]),
        (key[0], "spot", *key[2:]),
        (*key[:2], "ETHUSDT", *key[3:]),
        (*key[:3], key[3] + timedelta(microseconds=1), *key[4:]),
        (*key[:4], "short", *key[5:]),
        (*key[:5], np.nextafter(1.0, 2.0).item(), *key[6:]),
        (*key[:6], 2.5, key[7]),
        (*key[:7], 1),
        (*key[:5], 2.0, 1.0, 0),
    ]
    hashes = key_hashes(rows_of(LIQUIDATIONS, [key, *others]), LIQUIDATIONS)
    assert len(set(hashes.tolist())) == 1 + len(others)


def test_keys_that_are_equal_have_one_hash():
    key = ("okx", "perp", "BTCUSDT", datetime(2026, 6, 1, tzinfo=UTC), "long", 0.0, 2.0, 0)
    rows = rows_of(LIQUIDATIONS, [key, (*key[:5], -0.0, *key[6:])])
    first, second = key_hashes(rows, LIQUIDATIONS)
    assert first == second
    as_stored = rows.set_column(3, "timestamp", rows["timestamp"].cast(pa.timestamp("ns", "UTC")))
    as_stored = as_stored.set_column(2, "symbol", rows["symbol"].dictionary_encode())
    assert key_hashes(as_stored, LIQUIDATIONS).tolist() == [first, second]


def test_months_are_those_of_utc():
    last = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
    found = [("okx", "perp", "BTCUSDT", time) for time in (last, last + timedelta(microseconds=1))]
    before_epoch = ("okx", "perp", "BTCUSDT", EPOCH - timedelta(microseconds=1))
    digests = key_digests(rows_of(FUNDING, [*found, before_epoch]), FUNDING)
    assert {group.month: digest.rows for group, digest in digests.items()} == {"2024-02": 1, "2024-03": 1, "1969-12": 1}


@given(st.lists(st.integers(0, MASK), max_size=12), st.data())
def test_run_of_hashes_is_found(found, data):
    start = data.draw(st.integers(0, len(found)))
    end = data.draw(st.integers(start, len(found)))
    hashes = np.array(found, dtype=np.uint64)
    digest = Digest(end - start, sum(found[start:end]) % (1 << 64))
    assert contains_run(hashes, digest)
    sums = {sum(found[i : i + digest.rows]) & MASK for i in range(len(found) - digest.rows + 1)}
    wrong = digest._replace(digest=digest.digest ^ 1)
    assert contains_run(hashes, wrong) == (wrong.digest in sums)
    assert not contains_run(hashes, Digest(len(found) + 1, 0))


class TestFile:
    @by_table
    @tries(max_examples=20, deadline=None)
    @given(data=st.data())
    def test_roundtrip(self, table, key, data, tmp_path_factory):
        digests = key_digests(rows_of(table, data.draw(st.lists(key, max_size=30))), table)
        path = tmp_path_factory.mktemp("keys") / "keys.parquet"
        write_digests(digests, table, path)
        assert read_digests(path, table) == digests

    def test_is_the_same_for_the_same_keys(self, tmp_path):
        found = [("okx", "perp", name, datetime(2024, month, 1, tzinfo=UTC)) for name in "BA" for month in (2, 1)]
        for name, part in (("a", found), ("b", found[::-1])):
            write_digests(key_digests(rows_of(FUNDING, part), FUNDING), FUNDING, tmp_path / name)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    @pytest.mark.parametrize("harm", ["other hash", "other key", "no Parquet", "lost column", "missing"])
    def test_that_cannot_be_compared_is_ignored(self, tmp_path, monkeypatch, harm):
        path, table = tmp_path / "keys.parquet", FUNDING
        write_digests(key_digests(rows_of(FUNDING, [("okx", "perp", "BTCUSDT", EPOCH)]), FUNDING), FUNDING, path)
        if harm == "other hash":
            monkeypatch.setattr(keys, "VERSION", "2")
        elif harm == "other key":
            table = LIQUIDATIONS
        elif harm == "no Parquet":
            path.write_bytes(b"PAR1")
        elif harm == "lost column":
            pq.write_table(pq.read_table(path).drop_columns(["digest"]), path)
        else:
            path.unlink()
        assert read_digests(path, table) is None


class TestWarehouse:
    @pytest.fixture
    def warehouse(self, tmp_path) -> Warehouse:
        return Warehouse(tmp_path / "warehouse")

    def test_each_silver_file_has_the_digests_of_its_keys(self, warehouse, make_funding):
        for file in warehouse.write(FUNDING, make_funding("2023-12-31", 9)):
            path = warehouse.root / keys_path(file)
            stored = read_digests(path, FUNDING)
            assert stored == file_digests([warehouse.root / file.path], FUNDING)
            assert sum(digest.rows for digest in stored.values()) == file.rows
            hashes = group_hashes([warehouse.root / file.path], FUNDING, set(stored))
            assert {g: Digest(len(h), int(h.sum(dtype=np.uint64))) for g, h in hashes.items()} == stored
        assert broken_keys(warehouse.root, warehouse.manifest) == []

    def test_gold_has_none(self, warehouse):
        table = TABLES["funding_weighted_8h"]
        row = {"timestamp": EPOCH, "base": "BTC", "weighted_funding": 0.1, "venues": 1, "weight_coverage": 1.0}
        row["quotes"] = "USDT"
        schema = warehouse.read(table).schema
        (file,) = warehouse.write(table, pa.Table.from_pylist([row], schema))
        assert file.keys_sha256 is None
        assert not (warehouse.root / layout.KEYS).exists()

    def test_missing_and_damaged_digests_are_found(self, warehouse, make_funding):
        files = warehouse.write(FUNDING, make_funding("2023-12-31", 9))
        first, second = (warehouse.root / keys_path(file) for file in files)
        first.unlink()
        second.write_bytes(second.read_bytes()[:-1])
        problems = broken_keys(warehouse.root, warehouse.manifest)
        assert [problem.partition(".parquet ")[2] for problem in problems] == [
            "is missing",
            "differs from the manifest (sha256)",
        ]
        warehouse.write(FUNDING, make_funding("2023-12-31", 9))
        assert broken_keys(warehouse.root, warehouse.manifest) == []

    def test_failed_write_of_digests_changes_nothing(self, warehouse, make_funding, monkeypatch):
        warehouse.write(FUNDING, make_funding("2024-01-01", 5))
        before = warehouse.manifest

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(warehouse_module, "write_digests", fail)
            with pytest.raises(DatasetError, match="No space left"):
                warehouse.write(FUNDING, make_funding("2024-01-01", 9))
        assert warehouse.manifest == before
        assert not list(warehouse.root.rglob(f"{layout.TEMPORARY}*"))
        warehouse.write(FUNDING, make_funding("2024-01-01", 9))
        assert broken_keys(warehouse.root, warehouse.manifest) == []

    def test_digests_are_swept_with_their_file(self, warehouse, make_funding):
        warehouse.write(FUNDING, make_funding("2024-01-01", 5))
        (old,) = warehouse.manifest.files
        warehouse.write(FUNDING, make_funding("2024-01-01", 9))
        assert warehouse.sweep() == 0, "a publication may still copy them"
        warehouse.sweep(older_than_seconds=-1)
        (new,) = warehouse.manifest.files
        left = {path.relative_to(warehouse.root).as_posix() for path in warehouse.root.rglob("*.parquet")}
        assert left == {new.path, keys_path(new)}
        assert keys_path(old) != keys_path(new)

    def test_digests_swept_before_the_manifest_names_them_stop_the_write(self, warehouse, make_funding, monkeypatch):
        commit = Warehouse._commit

        def swept(self: Warehouse, files: tuple) -> None:
            for path in (self.root / layout.KEYS).rglob("*.parquet"):
                path.unlink()
            commit(self, files)

        monkeypatch.setattr(Warehouse, "_commit", swept)
        with pytest.raises(DatasetError, match=r"keys/.* was deleted while it was written"):
            warehouse.write(FUNDING, make_funding("2024-01-01", 5))
        assert warehouse.manifest.files == ()

    def test_existing_digests_are_not_encoded_again(self, warehouse, make_funding, monkeypatch):
        """The manifest names their bytes; another encoding of the same digests must not replace them."""
        (file,) = warehouse.write(FUNDING, make_funding("2024-01-01", 5))
        monkeypatch.setattr(keys.pq, "write_table", lambda *_, **__: pytest.fail("encoded again"))
        digests = file_digests([warehouse.root / file.path], FUNDING)
        assert warehouse._put_keys(FUNDING, "binance", file.sha256, digests) == file.keys_sha256


class TestManifest:
    @pytest.fixture
    def manifest(self, tmp_path, make_funding) -> Manifest:
        warehouse = Warehouse(tmp_path)
        warehouse.write(FUNDING, make_funding("2024-01-01", 5))
        return warehouse.manifest

    def test_file_without_digests_does_not_mention_them(self, manifest):
        raw = json.loads(manifest.to_json())
        (digest,) = (file.pop("keys_sha256") for file in raw["files"])
        older = Manifest.from_json(json.dumps(raw))
        assert [file.keys_sha256 for file in older.files] == [None]
        assert keys_path(older.files[0]) is None
        assert "keys_sha256" not in older.to_json()
        assert digest == manifest.files[0].keys_sha256

    @pytest.mark.parametrize("wrong", ["", "../../x", 5])
    def test_wrong_digest_is_refused(self, manifest, wrong):
        raw = json.loads(manifest.to_json())
        raw["files"][0]["keys_sha256"] = wrong
        with pytest.raises(DatasetError, match="not a manifest"):
            Manifest.from_json(json.dumps(raw))
