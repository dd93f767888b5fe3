"""Publishing to a hub, by the real ``huggingface_hub`` over real sockets."""

from __future__ import annotations

import json
import logging
import shutil
import traceback
from dataclasses import replace

import polars as pl
import pytest
from huggingface_hub import HfApi

from cexkit.errors import CexkitError, DatasetError, NewerSchemaError, PublicationError, QualityError
from cexkit.schema import SCHEMA_VERSION, TABLES
from cexkit.testing._hub_repo import Entry, git_sha1
from cexkit.testing.hub import TOKEN, cut, on
from cexkit.testing.loopback import Fault, reset, server_error, too_many_requests
from cexkit.warehouse.publish import plan, publish
from cexkit.warehouse.store.manifest import Manifest
from cexkit.warehouse.store.warehouse import Warehouse

from .conftest import REPO, TO, content, named, size_of, tree

MADE = {"README.md", "spec.json", "manifest.json"}
WRITES = {"create", "preupload", "batch", "upload", "part", "complete", "commit", "tag", "branch"}


def head(hub) -> str:
    return hub.repos[REPO].branches["main"]


def held(hub, revision: str = "main") -> Manifest:
    return Manifest.from_json(content(hub, "manifest.json", revision).decode())


def written(hub) -> list[str]:
    return [logged.request.route for logged in hub.log if logged.request.route in WRITES]


def whole(hub, revision: str = "main") -> bool:
    """Whether a revision holds just the files of its manifest, all of them right."""
    files = {p: entry for p, entry in tree(hub, revision).items() if p.startswith(("tables/", "keys/"))}
    sizes = {file.path: file.bytes for file in held(hub, revision).files}
    right = all(files[path].size == size for path, size in sizes.items())
    return right and {path: entry.sha256 for path, entry in files.items()} == named(held(hub, revision))


def meanwhile(route: str, do) -> Fault:
    """Let something happen just before the first request of a route is answered."""
    done = []

    def when(request) -> bool:
        if request.route == route and not done:
            done.append(True)
            do()
        return False

    return Fault("meanwhile", when)


def test_a_first_publication_is_one_commit_that_holds_the_warehouse(warehouse, hub):
    done = publish(warehouse, TO)
    assert [commit.title for commit in hub.repos[REPO].history("main")][-1] == "initial commit"
    assert len(hub.repos[REPO].commits) == 2
    assert done.revision == head(hub)
    assert done.url == f"{hub.url}/datasets/{REPO}/commit/{head(hub)}"
    assert held(hub) == warehouse.manifest
    assert whole(hub)
    assert set(tree(hub)) == set(named(warehouse.manifest)) | MADE | {".gitattributes"}


def test_again_makes_no_commit_and_sends_nothing(warehouse, hub):
    first = publish(warehouse, TO)
    hub.log.clear()
    again = publish(warehouse, TO)
    assert (again.changed, again.revision) == (False, first.revision)
    assert written(hub) == []


def test_a_refresh_sends_only_what_changed_and_takes_away_what_is_old(warehouse, hub, refresh):
    first = publish(warehouse, TO)
    before = named(warehouse.manifest)
    refresh(warehouse)
    after = named(warehouse.manifest)
    hub.log.clear()
    done = publish(warehouse, TO)
    assert {piece.path for piece in done.plan.add} == (set(after) - set(before)) | MADE
    assert set(done.plan.delete) == set(before) - set(after)
    new = [path for path, digest in after.items() if digest not in before.values()]
    assert hub.received("upload", "part") == size_of(warehouse, new), "listings changed, but not their keys"
    assert whole(hub)
    assert whole(hub, first.revision), "a reader pinned to the commit before keeps its files"


def test_a_dry_run_writes_nothing_and_says_what_would_be(warehouse, hub):
    said = publish(warehouse, TO, dry_run=True)
    assert written(hub) == []
    assert hub.repos == {}
    files = named(warehouse.manifest)
    assert f"{len(files) + 3} files to write" in str(said)
    assert said.plan.bytes == size_of(warehouse, files) + sum(
        piece.size for piece in said.plan.add if piece.path in MADE
    )
    assert plan(warehouse, TO) == said.plan


def test_nothing_reaches_the_hub_where_a_check_or_a_file_fails(warehouse, hub, spoil):
    spoil(warehouse, "ohlcv_1d", "okx", high=pl.col("low") / 2)
    with pytest.raises(QualityError):
        publish(warehouse, TO)
    (warehouse.root / warehouse.manifest.files[0].path).unlink()
    with pytest.raises(DatasetError, match="is missing"):
        publish(warehouse, TO)
    assert hub.log == []


def test_other_files_of_the_repository_stay(warehouse, hub, refresh):
    repo = hub.create(REPO)
    hub.blobs.add_bytes(git_sha1(b"mine"), b"mine")
    repo.put("main", tree(hub) | {"LICENSE": Entry(git_sha1(b"mine"), 4)}, "a license")
    with pytest.raises(PublicationError, match=r"not a cexkit dataset: it contains LICENSE; .*delete the files"):
        publish(warehouse, TO, allow_loss=list(TABLES))
    repo.put("main", {path: entry for path, entry in tree(hub).items() if path != "LICENSE"}, "no license")
    publish(warehouse, TO)
    repo.put("main", tree(hub) | {"LICENSE": Entry(git_sha1(b"mine"), 4)}, "a license")
    refresh(warehouse)
    publish(warehouse, TO)
    assert content(hub, "LICENSE") == b"mine"
    assert whole(hub)


def test_a_gitignore_would_leave_out_files_and_is_refused(warehouse, hub):
    publish(warehouse, TO)
    hub.blobs.add_bytes(git_sha1(b"*"), b"*")
    hub.repos[REPO].put("main", tree(hub) | {".gitignore": Entry(git_sha1(b"*"), 1)}, "ignore")
    with pytest.raises(PublicationError, match="gitignore"):
        publish(warehouse, TO)


def test_a_branch_is_made_and_leaves_main_alone(warehouse, hub, refresh):
    publish(warehouse, TO)
    main = head(hub)
    refresh(warehouse)
    done = publish(warehouse, f"{TO}@next")
    assert hub.repos[REPO].branches == {"main": main, "next": done.revision}
    assert whole(hub, "next")
    assert held(hub, "next") == warehouse.manifest


def test_a_private_repository_is_made_private(warehouse, hub):
    publish(warehouse, TO, private=True)
    assert hub.repos[REPO].private


# tags


def test_a_release_is_a_tag_on_the_commit(warehouse, hub, refresh):
    done = publish(warehouse, TO, tag="v2026.06.05")
    assert hub.repos[REPO].tags == {"v2026.06.05": done.revision}
    assert publish(warehouse, TO, tag="v2026.06.05").tag == "v2026.06.05"
    refresh(warehouse)
    hub.log.clear()
    for dry_run in (True, False):
        with pytest.raises(PublicationError, match=r"tag v2026\.06\.05 exists and names other data"):
            publish(warehouse, TO, tag="v2026.06.05", dry_run=dry_run)
    assert written(hub) == []
    assert publish(warehouse, TO, tag="v2026.06.06").revision == hub.repos[REPO].tags["v2026.06.06"]


def test_a_tag_that_failed_is_made_by_the_next_run(warehouse, hub):
    hub.faults = (server_error(on("tag")),)
    with pytest.raises(PublicationError, match="but not tagged; run again"):
        publish(warehouse, TO, tag="v1")
    hub.faults = ()
    done = publish(warehouse, TO, tag="v1")
    assert not done.changed
    assert hub.repos[REPO].tags == {"v1": head(hub)}


def test_a_tag_whose_answer_was_lost_is_there(warehouse, hub):
    hub.faults = (reset(on("tag", 1)),)
    publish(warehouse, TO, tag="v1")
    assert hub.repos[REPO].tags == {"v1": head(hub)}


# what may replace what


def test_a_later_schema_is_never_replaced(warehouse, hub):
    publish(warehouse, TO)
    later = replace(warehouse.manifest, schema_version=SCHEMA_VERSION + 1).to_json().encode()
    hub.blobs.add_bytes(git_sha1(later), later)
    hub.repos[REPO].put("main", tree(hub) | {"manifest.json": Entry(git_sha1(later), len(later))}, "later")
    before = head(hub)
    with pytest.raises(NewerSchemaError):
        publish(warehouse, TO, allow_loss=list(TABLES))
    assert head(hub) == before


def test_another_warehouse_is_never_mixed_in(warehouse, hub, refresh, tmp_path):
    """Published whole or refused: no state holds files of both."""
    old = Warehouse(shutil.copytree(warehouse.root, tmp_path / "old"))
    refresh(warehouse)
    publish(warehouse, TO)
    before = head(hub)
    with pytest.raises(PublicationError, match="newer state"):
        publish(old, TO)
    assert head(hub) == before
    publish(old, "hf://datasets/me/old")
    assert named(old.manifest).keys() <= hub.repos["me/old"].at("main").tree.keys()


def test_a_publication_in_between_is_noticed_and_planned_around(warehouse, hub, refresh, tmp_path):
    """The head moves between plan and commit: 412, then a plan against the new head, and one whole state."""
    publish(warehouse, TO)
    other = Warehouse(shutil.copytree(warehouse.root, tmp_path / "other"))
    other.describe(simulated=True, description="Renamed in between.")
    refresh(warehouse)
    renamed = other.manifest.to_json().encode()

    def commit() -> None:
        hub.blobs.add_bytes(git_sha1(renamed), renamed)
        entry = Entry(git_sha1(renamed), len(renamed))
        hub.repos[REPO].put("main", tree(hub) | {"manifest.json": entry}, "renamed")

    hub.faults = (meanwhile("commit", commit),)
    publish(warehouse, TO)
    assert [logged.status for logged in hub.requests("commit")] == [200, 412, 200]
    assert held(hub) == warehouse.manifest
    assert whole(hub)


def test_a_newer_publication_in_between_wins(warehouse, hub, refresh, tmp_path):
    publish(warehouse, TO)
    newer = Warehouse(shutil.copytree(warehouse.root, tmp_path / "newer"))
    warehouse.describe(simulated=True, description="Written first.")
    newer.describe(simulated=True, description="Written last.")
    told = newer.manifest.to_json().encode()

    def commit() -> None:
        hub.blobs.add_bytes(git_sha1(told), told)
        hub.repos[REPO].put("main", tree(hub) | {"manifest.json": Entry(git_sha1(told), len(told))}, "newer")

    hub.faults = (meanwhile("commit", commit),)
    with pytest.raises(PublicationError, match="newer state"):
        publish(warehouse, TO)
    assert held(hub).description == "Written last."


def test_two_processes_at_once_end_in_one_whole_state(warehouse, hub, refresh, elsewhere):
    publish(warehouse, TO)
    refresh(warehouse)
    hub.latency_seconds = 0.005
    script = f"from cexkit.warehouse.publish import publish\nprint(publish({str(warehouse.root)!r}, {TO!r}).revision)"
    both = [elsewhere(script, hub) for _ in range(2)]
    outputs = [process.communicate(timeout=400) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert {out.strip() for out, _ in outputs} == {head(hub)}
    assert held(hub) == warehouse.manifest
    assert whole(hub)
    assert len(hub.repos[REPO].history("main")) == 3, "one of them made the commit"


# faults


@pytest.mark.parametrize("fault", [too_many_requests, server_error], ids=["429", "500"])
def test_refusals_that_pass_are_waited_out_wherever_they_come(warehouse, hub, fault):
    routes = {"info", "tree", "create", "refs", "preupload", "batch", "upload", "verify", "commit", "tag"}
    hub.faults = tuple(fault(on(route, 1)) for route in routes)
    publish(warehouse, TO, tag="v1")
    assert {logged.request.route for logged in hub.log if logged.fault} == routes
    assert whole(hub)
    assert len(hub.repos[REPO].commits) == 2
    assert hub.repos[REPO].tags == {"v1": head(hub)}


@pytest.mark.parametrize("route", ["info", "tree", "preupload", "batch", "upload", "commit"])
def test_a_refusal_that_stays_is_an_error_that_says_nothing_was_changed(warehouse, hub, refresh, route):
    publish(warehouse, TO)
    before = head(hub)
    refresh(warehouse)
    hub.faults = (server_error(on(route), 503),)
    with pytest.raises(PublicationError, match=r"status 503.*Nothing was changed"):
        publish(warehouse, TO)
    assert head(hub) == before
    hub.faults = ()
    publish(warehouse, TO)
    assert whole(hub)


def test_a_commit_whose_answer_was_lost_is_not_made_twice(warehouse, hub):
    hub.faults = (reset(on("commit", 1)),)
    done = publish(warehouse, TO)
    assert done.changed
    assert done.revision == head(hub)
    assert len(hub.requests("commit")) == 1
    assert len(hub.repos[REPO].commits) == 2


def test_a_cut_upload_goes_on_where_it_was(warehouse, hub):
    """Broken off in the middle of a file for good; the next run sends that file and those after it, no other."""
    hub.faults = (cut(lambda request: request.route == "upload" and request.route_number > 5, after=1000),)
    with pytest.raises(PublicationError, match="Nothing was changed"):
        publish(warehouse, TO)
    assert set(hub.repos[REPO].at("main").tree) == {".gitattributes"}
    there = {digest for digest in named(warehouse.manifest).values() if digest in hub.blobs}
    assert len(there) == 5
    hub.faults = ()
    hub.log.clear()
    publish(warehouse, TO)
    sent = {logged.request.path.split("/")[2] for logged in hub.requests("upload")}
    assert sent == set(named(warehouse.manifest).values()) - there
    assert whole(hub)


def test_killed_while_uploading_the_next_run_sends_the_rest(warehouse, hub, elsewhere):
    hub.latency_seconds = 0.05
    script = f"from cexkit.warehouse.publish import publish\npublish({str(warehouse.root)!r}, {TO!r})"
    process = elsewhere(script, hub)
    while len(hub.requests("verify")) < 4 and process.poll() is None:
        hub.stopping.wait(0.01)
    process.kill()
    process.communicate()
    assert process.returncode == -9
    assert set(tree(hub)) == {".gitattributes"}
    there = {file.sha256 for file in warehouse.manifest.files if file.sha256 in hub.blobs}
    assert 0 < len(there) < len(warehouse.manifest.files)
    hub.latency_seconds = 0
    hub.log.clear()
    publish(warehouse, TO)
    assert not there & {logged.request.path.split("/")[2] for logged in hub.requests("upload")}
    assert whole(hub)


def test_what_the_hub_says_it_has_is_held_against_the_manifest(warehouse, hub):
    """A hub that keeps something else than was sent is found out, though it said all was well."""
    publish(warehouse, TO)
    warehouse.describe(simulated=True, description="Another one.")
    change = hub.repos[REPO].change

    def wrong(branch, lines, blobs):
        made = change(branch, lines, blobs)
        path = warehouse.manifest.files[0].path
        made.tree[path] = replace(made.tree[path], sha256="0" * 64)
        return made

    hub.repos[REPO] = _Lying(hub.repos[REPO], wrong)
    with pytest.raises(PublicationError, match="other content than was sent") as error:
        publish(warehouse, TO)
    assert warehouse.manifest.files[0].path in str(error.value)


class _Lying:
    """A repository whose commits hold something else."""

    def __init__(self, repo, change):
        self._repo, self.change = repo, change

    def __getattr__(self, name: str):
        return getattr(self._repo, name)


def test_a_file_that_changes_while_it_is_sent_is_never_committed(warehouse, hub):
    path = warehouse.root / warehouse.manifest.files[0].path

    def write() -> None:
        path.write_bytes(path.read_bytes()[::-1])

    hub.faults = (meanwhile("preupload", write),)
    with pytest.raises(PublicationError, match="changed while it was sent; nothing was changed"):
        publish(warehouse, TO)
    assert set(tree(hub)) == {".gitattributes"}


# secrets


@pytest.mark.parametrize(
    ("token", "status"),
    [("hf_wrongWrongWrong", 401), ("hf_readsOnlyReads", 403), (None, 401)],
    ids=["wrong", "read", "no"],
)
def test_a_token_that_may_not_is_an_error_that_does_not_show_it(
    warehouse, hub, monkeypatch, tmp_path, caplog, capsys, token, status
):
    hub.tokens["hf_readsOnlyReads"] = "read"
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
    caplog.set_level(logging.DEBUG)
    with pytest.raises(PublicationError, match=f"status {status}.*set HF_TOKEN") as error:
        publish(warehouse, TO)
    said = "".join(traceback.format_exception(error.value)) + caplog.text + "".join(capsys.readouterr())
    assert token is None or token not in said
    assert hub.repos == {}


def test_the_token_is_in_no_log_no_output_no_repr_and_no_error(warehouse, hub, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    done = publish(warehouse, TO, tag="v1")
    said = [repr(done), str(done), repr(plan(warehouse, TO))]
    warehouse.describe(simulated=True, description="Another one.")
    for fault in (server_error(on("upload")), server_error(on("commit")), reset(on("commit")), reset(on("info"))):
        hub.faults = (fault,)
        try:
            publish(warehouse, TO)
        except CexkitError as error:
            said += traceback.format_exception(error)
            said.append(repr(error))
    said += [caplog.text, *capsys.readouterr()]
    assert TOKEN not in "".join(said)
    stored = [path.read_bytes() for path in hub.blobs.folder.iterdir()]
    assert not [blob for blob in stored if TOKEN.encode() in blob]
    assert any(logged.request.headers.get("authorization") == f"Bearer {TOKEN}" for logged in hub.log)


def test_the_client_library_agrees(warehouse, hub):
    """What was published, as ``huggingface_hub`` itself sees it."""
    done = publish(warehouse, TO)
    api = HfApi(endpoint=hub.url)
    info = {
        file.path: file
        for file in api.get_paths_info(REPO, [f.path for f in warehouse.manifest.files], repo_type="dataset")
    }
    assert {path: (entry.lfs.sha256, entry.size) for path, entry in info.items()} == {
        file.path: (file.sha256, file.bytes) for file in warehouse.manifest.files
    }
    assert api.dataset_info(REPO).sha == done.revision
    spec = json.loads(content(hub, "spec.json"))
    assert spec["rows"] == sum(file.rows for file in warehouse.manifest.files)
