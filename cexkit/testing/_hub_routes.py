"""Routes of a loopback hub, as ``huggingface_hub`` and readers call them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, unquote, urlencode

from cexkit.testing._hub_repo import LARGE_BYTES, LARGE_KINDS, Blobs, Commit, Refused, Repo, git_sha1
from cexkit.testing.loopback import Reply, Request

_ID, _SHA = r"(?P<id>[^/]+/[^/]+?)", r"(?P<sha>[0-9a-f]{64})"
_API = rf"/api/datasets/{_ID}"
#: Method and path of each route. Any other request gets status 404.
ROUTES: dict[str, tuple[str, str]] = {
    "create": ("POST", r"/api/repos/create"),
    "delete": ("DELETE", r"/api/repos/delete"),
    "whoami": ("GET", r"/api/whoami-v2"),
    "validate-yaml": ("POST", r"/api/validate-yaml"),
    "preupload": ("POST", rf"{_API}/preupload/(?P<rev>.+)"),
    "batch": ("POST", rf"/datasets/{_ID}\.git/info/lfs/objects/batch"),
    "upload": ("PUT", rf"/lfs/{_SHA}"),
    "part": ("PUT", rf"/lfs/{_SHA}/(?P<part>\d+)"),
    "complete": ("POST", rf"/lfs/{_SHA}/complete"),
    "verify": ("POST", rf"/lfs/{_SHA}/verify"),
    "content": ("GET", rf"/lfs/{_SHA}"),
    "commit": ("POST", rf"{_API}/commit/(?P<rev>.+)"),
    "tree": ("GET", rf"{_API}/tree/(?P<rev>[^/]+)(?:/(?P<path>.*))?"),
    "paths-info": ("POST", rf"{_API}/paths-info/(?P<rev>.+)"),
    "refs": ("GET", rf"{_API}/refs"),
    "commits": ("GET", rf"{_API}/commits/(?P<rev>.+)"),
    "tag": ("POST", rf"{_API}/tag/(?P<rev>.+)"),
    "branch": ("POST", rf"{_API}/branch/(?P<rev>.+)"),
    "info": ("GET", rf"{_API}(?:/revision/(?P<rev>.+))?"),
    "resolve": ("GET", rf"/datasets/{_ID}/resolve/(?P<rev>[^/]+)/(?P<path>.+)"),
}
#: Routes of content, which clients call without a token.
_OPEN = {"content", "upload", "part", "complete"}
_WRITES = {"create", "delete", "preupload", "batch", "commit", "tag", "branch"}
_PATTERNS = [(name, method, re.compile(path)) for name, (method, path) in ROUTES.items()]


@dataclass(frozen=True, slots=True)
class HubRequest(Request):
    """A request to a hub. ``route`` names its route (see :data:`ROUTES`); ``route_number`` counts per route from 1."""

    method: str = "GET"
    route: str = ""
    route_number: int = 0


class HubRoutes:
    """Repositories and the responses of their routes. See :class:`cexkit.testing.hub.LoopbackHub`."""

    url: str
    content_url: str
    blobs: Blobs
    tokens: dict[str, str]
    repos: dict[str, Repo]
    part_bytes: int
    page_files: int
    _parts: dict[tuple[str, int], Path]

    @staticmethod
    def route_of(method: str, path: str) -> str:
        """Return the name of a request's route, or ``unknown``."""
        wanted = "GET" if method == "HEAD" else method
        return next((name for name, by, at in _PATTERNS if by == wanted and at.fullmatch(path)), "unknown")

    def respond(self, request: HubRequest, body: BinaryIO) -> Reply | Path:
        """Return the response; a path means a file, whose content is sent, in ranges if requested."""
        if request.route == "unknown":
            raise Refused(404, "NotFound", f"no such route: {request.method} {request.path}")
        found = re.fullmatch(ROUTES[request.route][1], request.path).groupdict()
        found = {name: unquote(value) for name, value in found.items() if value is not None}
        if request.route not in _OPEN:
            self._admit(request, found.get("id"))
        do: Callable[..., Reply | Path] = getattr(self, "_" + request.route.replace("-", "_"))
        return do(request, body, **found)

    def _admit(self, request: HubRequest, repo: str | None) -> None:
        """Raise the hub's own error if the token does not permit the request."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self.tokens:
            raise Refused(401, "", "Invalid credentials in Authorization header")
        if request.route in _WRITES and not token:
            raise Refused(401, "", "Invalid username or password.")
        if request.route in _WRITES and self.tokens[token] != "write":
            raise Refused(403, "", "you must use a write token")
        if repo is not None and (repo not in self.repos or (self.repos[repo].private and not token)):
            raise Refused(404 if token else 401, "RepoNotFound", "Repository not found")

    # Handlers of routes, by their names in ROUTES.

    def _create(self, request: HubRequest, body: BinaryIO) -> Reply:
        payload = json.load(body)
        repo = f"{payload.get('organization') or 'tester'}/{payload['name']}"
        self.create(repo, private=bool(payload.get("private")) or payload.get("visibility") == "private")
        return _json({"url": f"{self.url}/datasets/{repo}", "name": repo, "id": repo})

    def _delete(self, request: HubRequest, body: BinaryIO) -> Reply:
        payload = json.load(body)
        if self.repos.pop(f"{payload.get('organization') or 'tester'}/{payload['name']}", None) is None:
            raise Refused(404, "RepoNotFound", "Repository not found")
        return _json({})

    def _whoami(self, request: HubRequest, body: BinaryIO) -> Reply:
        role = self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if role is None:
            raise Refused(401, "", "Invalid username or password.")
        access = {"type": "access_token", "accessToken": {"displayName": "loopback", "role": role}}
        return _json({"type": "user", "id": "1", "name": "tester", "fullname": "Tester", "orgs": [], "auth": access})

    def _validate_yaml(self, request: HubRequest, body: BinaryIO) -> Reply:
        return _json({"errors": [], "warnings": []})

    def _preupload(self, request: HubRequest, body: BinaryIO, id: str, rev: str) -> Reply:
        tree = self.repos[id].at(rev).tree

        def reply(file: dict) -> dict:
            large = file["path"].endswith(LARGE_KINDS) or file["size"] > LARGE_BYTES
            there = tree.get(file["path"])
            oid = there.blob if there else None
            mode = "lfs" if large else "regular"
            return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

        return _json({"files": [reply(file) for file in json.load(body)["files"]]})

    def _batch(self, request: HubRequest, body: BinaryIO, id: str) -> Reply:
        return _json(
            {"transfer": "basic", "objects": [self._object(payload) for payload in json.load(body)["objects"]]}
        )

    def _object(self, payload: dict) -> dict:
        reply = {"oid": payload["oid"], "size": payload["size"]}
        if payload["oid"] in self.blobs:
            return reply
        at = f"{self.content_url}/lfs/{payload['oid']}"
        upload: dict = {"href": at, "header": {}}
        if payload["size"] > self.part_bytes:
            parts = {f"{part + 1:05d}": f"{at}/{part + 1}" for part in range(-(-payload["size"] // self.part_bytes))}
            upload = {"href": f"{at}/complete", "header": {"chunk_size": str(self.part_bytes), **parts}}
        verify = {"href": f"{self.url}/lfs/{payload['oid']}/verify", "header": {}}
        return reply | {"actions": {"upload": upload, "verify": verify}}

    def _upload(self, request: HubRequest, body: BinaryIO, sha: str) -> Reply:
        self._keep(sha, [body])
        return Reply(headers={"ETag": f'"{sha}"'})

    def _part(self, request: HubRequest, body: BinaryIO, sha: str, part: str) -> Reply:
        path = self.blobs.temporary()
        with path.open("wb") as file:
            shutil.copyfileobj(body, file)
        self._parts[sha, int(part)] = path
        return Reply(headers={"ETag": f'"{part}-{sha[:8]}"'})

    def _complete(self, request: HubRequest, body: BinaryIO, sha: str) -> Reply:
        paths = [self._parts.pop((sha, part["partNumber"]), None) for part in json.load(body)["parts"]]
        if None in paths:
            raise Refused(400, "BadRequest", "a part is missing")
        streams = [path.open("rb") for path in paths]
        self._keep(sha, streams)
        for stream, path in zip(streams, paths, strict=True):
            stream.close()
            path.unlink()
        return _json({})

    def _keep(self, sha: str, streams: Iterable[BinaryIO]) -> None:
        """Store a large file if its content matches its sha256."""
        digest, path = hashlib.sha256(), self.blobs.temporary()
        with path.open("wb") as file:
            for stream in streams:
                while chunk := stream.read(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
        if digest.hexdigest() != sha:
            path.unlink()
            raise Refused(400, "BadDigest", "the content does not match its sha256")
        self.blobs.add(sha, path)

    def _verify(self, request: HubRequest, body: BinaryIO, sha: str) -> Reply:
        if sha not in self.blobs:
            raise Refused(404, "EntryNotFound", "no such large file")
        return _json({})

    def _content(self, request: HubRequest, body: BinaryIO, sha: str) -> Path:
        if sha not in self.blobs:
            raise Refused(404, "EntryNotFound", "no such large file")
        return self.blobs.path(sha)

    def _commit(self, request: HubRequest, body: BinaryIO, id: str, rev: str) -> Reply:
        lines = [json.loads(line) for line in body.read().split(b"\n") if line.strip()]
        made = self.repos[id].change(rev, lines, self.blobs)
        url = f"{self.url}/datasets/{id}/commit/{made.oid}"
        return _json({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})

    def _tree(self, request: HubRequest, body: BinaryIO, id: str, rev: str, path: str = "") -> Reply:
        listed = _listing(self.repos[id].at(rev), path.strip("/"), request.params.get("recursive", "").lower())
        begin = int(request.params.get("cursor", 0))
        end = begin + min(int(request.params.get("limit", self.page_files)), self.page_files)
        query = urlencode(request.params | {"cursor": str(end)})
        more = {"Link": f'<{self.url}{request.path}?{query}>; rel="next"'} if end < len(listed) else {}
        return _json(listed[begin:end], more)

    def _paths_info(self, request: HubRequest, body: BinaryIO, id: str, rev: str) -> Reply:
        raw = body.read()
        payload = json.loads(raw)["paths"] if raw.startswith(b"{") else parse_qs(raw.decode()).get("paths", [])
        tree = self.repos[id].at(rev).tree
        return _json([tree[path].info(path) for path in payload if path in tree])

    def _refs(self, request: HubRequest, body: BinaryIO, id: str) -> Reply:
        def shown(kind: str, refs: dict[str, str]) -> list[dict]:
            return [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": oid} for n, oid in refs.items()]

        repo = self.repos[id]
        return _json({"branches": shown("heads", repo.branches), "tags": shown("tags", repo.tags), "converts": []})

    def _commits(self, request: HubRequest, body: BinaryIO, id: str, rev: str) -> Reply:
        return _json(
            [
                {"id": c.oid, "title": c.title, "message": "", "date": _when(c), "authors": [{"user": "tester"}]}
                for c in self.repos[id].history(rev)
            ]
        )

    def _tag(self, request: HubRequest, body: BinaryIO, id: str, rev: str) -> Reply:
        self.repos[id].tag(json.load(body)["tag"], rev)
        return _json({})

    def _branch(self, request: HubRequest, body: BinaryIO, id: str, rev: str) -> Reply:
        repo, payload = self.repos[id], json.loads(body.read() or b"{}")
        with repo.lock:
            if rev in repo.branches:
                raise Refused(409, "BranchExists", f"Branch {rev} already exists")
            repo.branches[rev] = repo.at(payload.get("startingPoint") or "main").oid
        return _json({})

    def _info(self, request: HubRequest, body: BinaryIO, id: str, rev: str = "main") -> Reply:
        repo = self.repos[id]
        commit = repo.at(rev)
        files = [
            {"rfilename": path, "size": e.size, "blobId": e.oid, **({"lfs": e.info(path)["lfs"]} if e.sha256 else {})}
            for path, e in sorted(commit.tree.items())
        ]
        if not request.params.get("blobs"):
            files = [{"rfilename": file["rfilename"]} for file in files]
        facts = {"_id": "1", "id": id, "author": id.split("/")[0], "sha": commit.oid, "private": repo.private}
        times = {"lastModified": _when(commit), "createdAt": _when(repo.history(rev)[-1])}
        rest = {"gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": [], "siblings": files}
        return _json(facts | times | rest)

    def _resolve(self, request: HubRequest, body: BinaryIO, id: str, rev: str, path: str) -> Reply | Path:
        commit = self.repos[id].at(rev)
        entry = commit.tree.get(path)
        if entry is None:
            raise Refused(404, "EntryNotFound", f"Entry not found: {path}")
        if entry.sha256 is None:
            return self.blobs.path(entry.blob)
        linked = {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
        at = f"{self.content_url}/lfs/{entry.sha256}"
        return Reply(302, headers={"X-Repo-Commit": commit.oid, "ETag": f'"{entry.oid}"', "Location": at, **linked})

    def headers_of(self, request: HubRequest, path: Path) -> dict[str, str]:
        """Return the headers of a file response; the file's name is its hash."""
        if request.route == "content":
            return {"ETag": f'"{path.name}"'}
        found = re.fullmatch(ROUTES["resolve"][1], request.path).groupdict()
        commit = self.repos[unquote(found["id"])].at(unquote(found["rev"]))
        return {"ETag": f'"{path.name}"', "X-Repo-Commit": commit.oid}


def _json(value: object, headers: dict[str, str] | None = None) -> Reply:
    return Reply(body=json.dumps(value).encode(), headers=headers or {})


def _when(commit: Commit) -> str:
    return commit.at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _listing(commit: Commit, folder: str, recursive: str) -> list[dict]:
    """Return folders and files below a folder, folders first."""
    prefix = f"{folder}/" if folder else ""
    inside = {path: entry for path, entry in sorted(commit.tree.items()) if path.startswith(prefix)}
    if folder and not inside:
        raise Refused(404, "EntryNotFound", f"{folder} does not exist")
    deep = recursive in {"true", "1"}
    folders, files = set(), []
    for path, entry in inside.items():
        parts = path.removeprefix(prefix).split("/")
        folders |= {prefix + "/".join(parts[:n]) for n in range(1, len(parts) if deep else min(2, len(parts)))}
        if deep or len(parts) == 1:
            files.append(entry.info(path))
    named = [{"type": "directory", "oid": git_sha1(name.encode()), "size": 0, "path": name} for name in sorted(folders)]
    return named + files
