"""Publishing to a folder, and what is refused wherever it goes to."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import cexkit
from cexkit.errors import (
    DatasetError,
    DatasetNotFoundError,
    InvalidInputError,
    NewerSchemaError,
    PublicationError,
    QualityError,
)
from cexkit.schema import SCHEMA_VERSION, TABLES
from cexkit.warehouse.publish import plan, publish
from cexkit.warehouse.store.damage import sha256
from cexkit.warehouse.store.manifest import read_manifest
from cexkit.warehouse.store.warehouse import Warehouse

from .conftest import named


@pytest.fixture
def copy(tmp_path) -> Path:
    return tmp_path / "copy"


def files(root: Path) -> dict[str, str]:
    """What readers can see: every file with its hash, but locks."""
    return {
        path.relative_to(root).as_posix(): sha256(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".manifest.lock"
    }


def test_a_copy_reads_as_the_warehouse_does(warehouse, copy):
    publish(warehouse, copy)
    ours, theirs = cexkit.connect(str(warehouse.root)), cexkit.connect(str(copy))
    assert [*theirs.tables] == [*ours.tables]
    for name in ours.tables:
        assert theirs.table(name).to_polars().equals(ours.table(name).to_polars())


def test_only_the_dataset_is_in_a_copy(warehouse, copy):
    (warehouse.root / "bronze").mkdir(exist_ok=True)
    (warehouse.root / "bronze" / "secret.parquet").write_bytes(b"responses as received")
    publish(warehouse, copy)
    made = {"README.md", "spec.json", "manifest.json"}
    found = files(copy)
    assert {path: digest for path, digest in found.items() if path not in made} == named(warehouse.manifest)
    assert made < set(found)


def test_again_changes_nothing_and_a_refresh_only_what_changed(warehouse, copy, refresh):
    first = publish(warehouse, copy)
    again = publish(warehouse, copy)
    assert (first.changed, again.changed, len(again.plan.keep)) == (True, False, len(first.plan.add))
    before = set(named(warehouse.manifest))
    refresh(warehouse)
    after = set(named(warehouse.manifest))
    done = publish(warehouse, copy)
    assert {p.path for p in done.plan.add} == (after - before) | {"README.md", "spec.json", "manifest.json"}
    assert {p.path for p in done.plan.keep} == after & before


def test_files_stay_one_publication_longer_for_whoever_still_reads_them(warehouse, copy, refresh):
    publish(warehouse, copy)
    first = set(named(warehouse.manifest))
    refresh(warehouse, "2026-06-07")
    publish(warehouse, copy)
    second = set(named(warehouse.manifest))
    assert first | second <= set(files(copy))
    refresh(warehouse, "2026-06-08")
    publish(warehouse, copy)
    assert not (first - second) & set(files(copy))
    assert second <= set(files(copy))


def test_what_was_tampered_with_in_a_copy_is_mended(warehouse, copy):
    publish(warehouse, copy)
    path = warehouse.manifest.files[0].path
    (copy / path).write_bytes(b"not it")
    done = publish(warehouse, copy)
    assert [piece.path for piece in done.plan.add] == [path]
    assert sha256(copy / path) == warehouse.manifest.files[0].sha256


@pytest.mark.parametrize("harm", ["missing", "shorter", "one bit"])
def test_a_file_that_is_not_the_manifests_is_named_and_not_published(warehouse, copy, harm):
    path = warehouse.root / warehouse.manifest.files[-1].path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    {
        "missing": path.unlink,
        "shorter": lambda: path.write_bytes(content[:-1]),
        "one bit": lambda: path.write_bytes(content),
    }[harm]()
    for do in (plan, publish):
        with pytest.raises(DatasetError, match=path.name):
            do(warehouse, copy)
    assert not list(copy.rglob(path.name))


def test_a_failed_blocking_check_stops_it(warehouse, copy, spoil):
    spoil(warehouse, "ohlcv_1d", "okx", high=pl.col("low") / 2)
    for do in (plan, publish):
        with pytest.raises(QualityError, match="ohlcv_1d of okx on 2026-06-01: ohlc_order"):
            do(warehouse, copy)
    assert not copy.exists()


def test_a_failed_check_that_does_not_block_is_told(warehouse, copy):
    rows = pl.from_arrow(warehouse.read(TABLES["ohlcv_1h"], exchange="okx"))
    warehouse.write(TABLES["ohlcv_1h"], rows.filter(pl.col("timestamp").dt.hour() != 7).to_arrow())
    publish(warehouse, copy)
    spec = json.loads((copy / "spec.json").read_text())
    instruments = rows.select("symbol", "instrument_type").n_unique()
    assert spec["tables"]["ohlcv_1h"]["quality"]["checks"]["gaps"]["rows_failed"] == 5 * instruments
    assert "warnings: fresh, gaps" in next(
        line for line in (copy / "README.md").read_text().splitlines() if line.startswith("| [`ohlcv_1h`]")
    )


def test_an_empty_warehouse_is_not_published(tmp_path, copy):
    with pytest.raises(DatasetNotFoundError, match="nothing to publish"):
        publish(tmp_path / "none", copy)


def test_the_warehouse_itself_is_no_place(warehouse):
    for to in (warehouse.root, warehouse.root.parent):
        with pytest.raises(InvalidInputError, match="another folder"):
            publish(warehouse, to)


@pytest.mark.parametrize(
    "to",
    [
        "a\0b",
        "~nobody-of-this-name/x",
        "https://user:hunter2@host/x",
        "hf://datasets/me",
        f"hf://datasets/me/data@{'a' * 40}",
    ],
)
def test_what_names_no_place_is_refused_without_repeating_secrets(warehouse, to):
    with pytest.raises(InvalidInputError) as error:
        publish(warehouse, to)
    assert "hunter2" not in str(error.value)


def test_a_folder_has_no_tags(warehouse, copy):
    with pytest.raises(InvalidInputError, match="tags"):
        publish(warehouse, copy, tag="v1")


def test_a_dry_run_touches_nothing(warehouse, copy):
    said = publish(warehouse, copy, dry_run=True)
    assert not copy.exists()
    assert not said.changed
    assert f"{warehouse.manifest.files[0].path} (" in str(said)


def test_the_command_shows_a_plan_or_publishes(warehouse, copy, monkeypatch):
    from typer.testing import CliRunner

    from cexkit.cli.commands import app

    def run(*words: str):
        return CliRunner().invoke(app, ["publish", str(warehouse.root), *words])

    said = run("--to", str(copy), "--dry-run")
    assert said.exit_code == 0
    assert f"{len(named(warehouse.manifest)) + 3} files to write" in said.output
    assert not copy.exists()
    assert isinstance(run().exception, InvalidInputError), "it asks where to"
    assert run("--to", str(copy)).output.startswith("published: ")
    assert run("--to", str(copy)).output.startswith("nothing to publish: ")
    warehouse.remove(TABLES["ohlcv_1h"], "okx", "2026")
    assert isinstance(run("--to", str(copy)).exception, PublicationError)
    said = run("--to", str(copy), "--allow-loss", "ohlcv_1h:okx", "--allow-loss", "funding_rates")
    assert "\nlost, as allowed: ohlcv_1h of okx: " in said.output


def test_an_older_state_never_takes_the_place_of_a_newer_one_by_itself(warehouse, copy, refresh, tmp_path):
    old = Warehouse(shutil.copytree(warehouse.root, tmp_path / "old"))
    refresh(warehouse)
    publish(warehouse, copy)
    seen = files(copy)
    with pytest.raises(PublicationError, match=r"newer state.*Nothing was changed.*cexkit pull.*another place"):
        publish(old, copy, allow_loss=list(TABLES))
    assert files(copy) == seen


def test_simulated_and_real_data_never_take_each_others_place(warehouse, copy):
    publish(warehouse, copy)
    warehouse.describe(simulated=False, description="")
    with pytest.raises(PublicationError, match=r"holds simulated data, and this dataset is real; .*delete the files"):
        publish(warehouse, copy, allow_loss=list(TABLES))


def test_a_later_schema_is_never_replaced(warehouse, copy):
    publish(warehouse, copy)
    later = replace(read_manifest(copy / "manifest.json"), schema_version=SCHEMA_VERSION + 1)
    (copy / "manifest.json").write_text(later.to_json())
    with pytest.raises(NewerSchemaError):
        publish(warehouse, copy, allow_loss=list(TABLES))
    assert json.loads((copy / "manifest.json").read_text())["schema_version"] == SCHEMA_VERSION + 1


def test_a_folder_of_something_else_is_left_alone(warehouse, copy):
    copy.mkdir()
    (copy / "thesis.tex").write_text("years of work")
    with pytest.raises(PublicationError, match=r"not a cexkit dataset: it contains thesis\.tex; .*delete the files"):
        publish(warehouse, copy, allow_loss=list(TABLES))
    assert [path.name for path in copy.iterdir() if path.name != ".manifest.lock"] == ["thesis.tex"]
    (copy / "thesis.tex").rename(copy.parent / "thesis.tex")
    publish(warehouse, copy)
    (copy.parent / "thesis.tex").rename(copy / "thesis.tex")
    warehouse.describe(simulated=True, description="Another one.")
    publish(warehouse, copy)
    assert (copy / "thesis.tex").read_text() == "years of work"


def test_an_unwritable_folder_is_an_error_that_names_it(warehouse, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="file"):
        publish(warehouse, tmp_path / "file")


def test_killed_at_any_moment_readers_see_one_state_and_the_next_run_ends_it(
    warehouse, copy, refresh, elsewhere, pytestconfig
):
    """SIGKILL after so many files, or in the middle of the next: what is read is one of the two states, whole."""
    publish(warehouse, copy)
    old = read_manifest(copy / "manifest.json")
    refresh(warehouse)
    new = warehouse.manifest
    script = (
        "import time; from cexkit.warehouse.publish import publish\n"
        "def step(path):\n    print(path, flush=True); time.sleep(0.03)\n"
        f"publish({str(warehouse.root)!r}, {str(copy)!r}, step=step)"
    )
    randomly, long = random.Random(1), pytestconfig.getoption("--long")
    for share in [randomly.random() ** 4 for _ in range(60)] if long else (0, 0.3, 1):
        left = len(plan(warehouse, copy).add)
        process = elsewhere(script)
        # at the last one all but the manifest is there
        for _ in range(1 + int(share * (left - 2)) if left > 1 else 0):
            assert process.stdout.readline(), process.stderr.read()
        time.sleep(randomly.uniform(0, 0.04))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        manifest = read_manifest(copy / "manifest.json")
        assert manifest in (old, new)
        assert all(sha256(copy / path) == digest for path, digest in named(manifest).items())
    publish(warehouse, copy)
    assert read_manifest(copy / "manifest.json") == new
    assert not [path for path in files(copy) if ".tmp-" in path]
    assert set(files(copy)) == {*named(old), *named(new)} | {"README.md", "spec.json", "manifest.json"}
