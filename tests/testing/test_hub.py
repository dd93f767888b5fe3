"""The loopback hub, met by the real ``huggingface_hub``, DuckDB and httpx."""

from __future__ import annotations

import hashlib
import threading
import time

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, HfFileSystem, constants
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from cexkit.testing.hub import TOKEN, LoopbackHub, cut, on
from cexkit.testing.loopback import reset, server_error, stalled, too_many_requests

REPO = "me/data"


@pytest.fixture(autouse=True)
def without_xet(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    # waits are short, and not none: threads of other libraries that do nothing but sleep would take a core
    monkeypatch.setattr("time.sleep", lambda seconds, sleep=time.sleep: sleep(min(seconds, 0.01)))


@pytest.fixture
def hub():
    with LoopbackHub(part_bytes=1 << 20) as hub:
        hub.create(REPO)
        yield hub


@pytest.fixture
def api(hub) -> HfApi:
    return HfApi(endpoint=hub.url, token=TOKEN)


def put(api: HfApi, files: dict[str, bytes], **options) -> str:
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    return api.create_commit(REPO, operations, commit_message="more", repo_type="dataset", **options).oid


def get(api: HfApi, path: str, revision: str, cache) -> bytes:
    place = api.hf_hub_download(REPO, path, repo_type="dataset", revision=revision, cache_dir=cache)
    with open(place, "rb") as file:
        return file.read()


def test_files_come_back_as_they_went_at_every_revision(api, hub, tmp_path):
    small, large = b"# text\n", bytes(range(256)) * 12_000
    first = put(api, {"README.md": small, "tables/a.parquet": large})
    second = put(api, {"README.md": b"# other\n"})
    assert get(api, "tables/a.parquet", second, tmp_path) == large
    assert get(api, "README.md", first, tmp_path) == small
    assert get(api, "README.md", "main", tmp_path) == b"# other\n"
    assert [len(hub.requests(route)) for route in ("part", "complete", "verify")] == [3, 1, 1]
    assert hub.received("part") == len(large)


def test_the_token_never_goes_to_the_host_of_large_files(api, hub, tmp_path):
    put(api, {"a.parquet": b"x" * 100})
    get(api, "a.parquet", "main", tmp_path)
    open_routes = [logged.request for logged in hub.log if logged.request.path.startswith("/lfs/")]
    hosts = {request.headers["host"].split(":")[0] for request in open_routes if request.route != "verify"}
    assert hosts == {"localhost"}
    assert not [r for r in open_routes if r.route != "verify" and "authorization" in r.headers]


def test_what_is_there_is_neither_sent_nor_committed_again(api, hub):
    first = put(api, {"a.parquet": b"x" * 1000, "README.md": b"hello"})
    assert put(api, {"a.parquet": b"x" * 1000, "README.md": b"hello"}) == first
    assert put(api, {"b.parquet": b"x" * 1000}) != first
    assert len(hub.requests("upload")) == 1


def test_info_names_sizes_and_hashes(api):
    content = b"y" * 1000
    commit = put(api, {"t/a.parquet": content, "README.md": b"hello"})
    large, small = api.get_paths_info(REPO, ["t/a.parquet", "README.md", "none"], repo_type="dataset")
    assert (large.lfs.sha256, large.size) == (hashlib.sha256(content).hexdigest(), 1000)
    assert small.blob_id == "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"  # git hash-object
    assert api.dataset_info(REPO).sha == commit
    assert next(iter(api.list_repo_commits(REPO, repo_type="dataset"))).commit_id == commit


def test_long_trees_come_in_pages(api, hub):
    names = {f"t/{number:03d}.txt" for number in range(25)}
    put(api, {name: name.encode() for name in names})
    hub.page_files = 10
    assert {file for file in api.list_repo_files(REPO, repo_type="dataset") if file != ".gitattributes"} == names
    listed = [entry.path for entry in api.list_repo_tree(REPO, repo_type="dataset")]
    assert listed == ["t", ".gitattributes"]
    assert len(HfFileSystem(endpoint=hub.url, token=TOKEN).glob(f"datasets/{REPO}/t/*.txt")) == 25


def test_a_stale_parent_is_refused_and_changes_nothing(api, hub):
    first = put(api, {"a.txt": b"1"})
    second = put(api, {"a.txt": b"2"})
    with pytest.raises(HfHubHTTPError) as error:
        put(api, {"a.txt": b"3"}, parent_commit=first)
    assert error.value.response.status_code == 412
    assert hub.repos[REPO].branches["main"] == second


def test_a_commit_is_all_or_nothing(api, hub):
    first = put(api, {"a.txt": b"1"})
    operations = [CommitOperationAdd("b.txt", b"2"), CommitOperationDelete("not-there.txt")]
    with pytest.raises(HfHubHTTPError):
        api.create_commit(REPO, operations, commit_message="bad", repo_type="dataset")
    assert hub.repos[REPO].branches["main"] == first
    assert "b.txt" not in hub.repos[REPO].at("main").tree


def test_of_concurrent_commits_on_one_parent_one_wins(api, hub):
    head, won, refused = api.dataset_info(REPO).sha, [], []

    def run(number: int) -> None:
        try:
            won.append(put(api, {f"{number}.txt": b"x"}, parent_commit=head))
        except HfHubHTTPError as error:
            refused.append(error.response.status_code)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert won == [hub.repos[REPO].branches["main"]]
    assert refused == [412] * 5


def test_tags_name_a_commit_for_good(api):
    first = put(api, {"a.txt": b"1"})
    api.create_tag(REPO, tag="v1", repo_type="dataset")
    put(api, {"a.txt": b"2"})
    with pytest.raises(HfHubHTTPError):
        api.create_tag(REPO, tag="v1", repo_type="dataset")
    assert api.dataset_info(REPO, revision="v1").sha == first
    refs = api.list_repo_refs(REPO, repo_type="dataset")
    assert {tag.name: tag.target_commit for tag in refs.tags} == {"v1": first}


def test_private_repositories_and_wrong_tokens(hub):
    hub.create("me/secret", private=True)
    hub.tokens["hf_reads"] = "read"
    assert HfApi(endpoint=hub.url, token=TOKEN).dataset_info("me/secret").private
    with pytest.raises(RepositoryNotFoundError):
        HfApi(endpoint=hub.url, token=False).dataset_info("me/secret")
    with pytest.raises(HfHubHTTPError) as error:
        HfApi(endpoint=hub.url, token="hf_wrong").dataset_info(REPO)
    assert error.value.response.status_code == 401
    for token, status in ((False, 401), ("hf_reads", 403)):
        with pytest.raises(HfHubHTTPError) as error:
            put(HfApi(endpoint=hub.url, token=token), {"a.txt": b"1"})
        assert error.value.response.status_code == status


def test_ranges(api, hub):
    content = bytes(range(200))
    put(api, {"a.parquet": content})
    url = f"{hub.url}/datasets/{REPO}/resolve/main/a.parquet"
    with httpx.Client(follow_redirects=True, trust_env=False) as client:
        for asked, expected in (("0-9", content[:10]), ("190-", content[190:]), ("-5", content[-5:])):
            response = client.get(url, headers={"Range": f"bytes={asked}"})
            assert (response.status_code, response.content) == (206, expected)
        assert client.get(url, headers={"Range": "bytes=500-"}).status_code == 416
        head = client.head(url)
        assert head.headers["Content-Length"] == "200"


def test_corrupt_content_is_refused(hub):
    response = httpx.put(f"{hub.content_url}/lfs/{'0' * 64}", content=b"not it", trust_env=False)
    assert response.status_code == 400
    assert "0" * 64 not in hub.blobs


@pytest.mark.parametrize(
    ("fault", "uploads"),
    [
        (too_many_requests(on("preupload", 1)), 1),
        (server_error(on("batch", 1)), 1),
        (server_error(on("upload", 1), 500), 2),
        (reset(on("upload", 1)), 2),
        (cut(on("upload", 1), after=70_000), 2),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_client_gets_over_faults_and_the_log_shows_them(api, hub, fault, uploads):
    hub.faults = (fault,)
    put(api, {"a.parquet": b"x" * 500_000})
    assert [logged.fault for logged in hub.log if logged.fault] == [fault.name]
    assert len(hub.requests("upload")) == uploads
    if fault.name == "cut":
        assert 70_000 <= hub.requests("upload")[0].received < 500_000


def test_a_download_that_ends_early_is_tried_again(api, hub, tmp_path):
    content = bytes(range(256)) * 4000
    put(api, {"a.parquet": content})
    hub.faults = (cut(on("content", 1), after=100_000, abrupt=False),)
    assert get(api, "a.parquet", "main", tmp_path) == content
    # the client keeps what it has in pieces of 10 MB, so it begins anew here
    assert [logged.sent for logged in hub.requests("content")] == [100_000, len(content)]


def test_a_download_that_is_reset_is_an_error(api, hub, tmp_path):
    put(api, {"a.parquet": bytes(range(256)) * 4000})
    hub.faults = (cut(on("content", 1), after=100_000),)
    with pytest.raises(Exception, match="reset"):
        get(api, "a.parquet", "main", tmp_path)


def test_latency_and_stalls_are_waited_for(hub):
    hub.latency_seconds = 0.05
    assert httpx.get(f"{hub.url}/api/datasets/{REPO}", trust_env=False).elapsed.total_seconds() > 0.04
    hub.faults = (stalled(on("info"), 5),)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{hub.url}/api/datasets/{REPO}", trust_env=False, timeout=0.2)


def test_a_reset_comes_after_what_was_asked_was_done(api, hub):
    hub.faults = (reset(on("commit", 1)),)
    with pytest.raises(Exception, match=r"(?i)disconnect|reset"):
        put(api, {"a.txt": b"1"})
    assert "a.txt" in hub.repos[REPO].at("main").tree
