"""Publishing to Hugging Face: large files first, then one commit on the head that the plan was compared with.

``huggingface_hub`` retries uploads (five times, on 408, 429, 5xx, and broken connections), but neither the commit nor
the requests before and after it. This module retries those. If the response to a commit is lost, or somebody else
commits first, the plan is recomputed against the current head.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from cexkit.errors import CexkitError, PublicationError
from cexkit.network import network_hint
from cexkit.warehouse.publish.content import Content, Step
from cexkit.warehouse.publish.losses import NO_LOSSES, AllowedLosses, Loss
from cexkit.warehouse.publish.plans import Plan, PublishedFile, PublishedState, compare
from cexkit.warehouse.publish.retry import FAILURES, Again, is_transient, retrying, status_of
from cexkit.warehouse.publish.rules import allowed_losses, require_may_replace
from cexkit.warehouse.store.hub import require_usable_hub
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.manifest import Manifest, read_manifest

#: Files that are uploaded together; each is reported to ``step`` once all of them are uploaded.
BATCH = 8
_KIND = "dataset"
#: Somebody else committed first.
_STALE = 412
_EXISTS = 409

T = TypeVar("T")


class Hub:
    """A branch of a dataset repository.

    Parameters
    ----------
    repo, branch : str
        ``owner/name`` and its branch; both are created if missing.
    allowed : AllowedLosses
        Published keys that a publication may remove.
    private : bool
        Whether a newly created repository is private.

    Examples
    --------
    >>> Hub("me/data", "main")
    Hub('me/data', 'main')
    """

    def __init__(self, repo: str, branch: str, *, allowed: AllowedLosses = NO_LOSSES, private: bool = False):
        self.repo, self.branch, self.allowed, self.private = repo, branch, allowed, private
        #: Losses found last, and what was compared; a publication plans twice against the same head.
        self._compared: tuple[tuple[str | None, Manifest], tuple[Loss, ...]] | None = None

    def __repr__(self) -> str:
        return f"Hub({self.repo!r}, {self.branch!r})"

    @cached_property
    def _api(self) -> HfApi:
        """The client; it finds the token itself, so that no token passes through this module."""
        require_usable_hub()
        return HfApi(library_name="cexkit")

    @property
    def name(self) -> str:
        """Name for readers; the same on every branch, so that a branch can become another one."""
        return f"hf://datasets/{self.repo}"

    @property
    def _here(self) -> str:
        return f"{self.name}@{self.branch}"

    def plan(self, content: Content, tag: str | None = None) -> Plan:
        """Return what would change, without changing anything."""
        with self._report_outcome("nothing was changed"):
            published = self._there()
            content = content.beside(published)
            found = self._compare(content, published)
            self._require_free(tag, content)
        return found

    def put(self, content: Content, *, tag: str | None, step: Step) -> tuple[Plan, str | None, str]:
        """Publish the content to the branch in one commit; make no commit if the branch already holds it."""
        self.plan(content, tag)
        with self._report_outcome("no data was published"):
            self._make()
        done, revision = self._settle(content, step)
        if tag is not None:
            with self._report_outcome(f"the data is published as {revision}, but not tagged; run again"):
                self._tag(tag, revision, content)
        return done, revision, f"{self._api.endpoint}/datasets/{self.repo}/commit/{revision}"

    def _settle(self, content: Content, step: Step) -> tuple[Plan, str]:
        """Plan and commit until the head holds the content; return the changes and the head."""
        plans: list[Plan] = []
        try:
            for attempt in retrying(lambda error: isinstance(error, Again)):
                with attempt:
                    with self._report_outcome("nothing was changed"):
                        published = self._there()
                        current = content.beside(published)
                        plans.append(self._compare(current, published))
                        operations = self._upload(plans[-1], step)
                    revision = self._commit(current, plans[-1], operations) if operations else plans[-1].revision
        except Again as again:
            raise self._problem(again.__cause__, self._fate(plans[-1].revision)) from again.__cause__
        return plans[0], revision

    def _commit(self, content: Content, found: Plan, operations: list) -> str:
        """Commit the uploaded files, then compare the content of the hub with what was sent."""
        try:
            made = self._api.create_commit(
                self.repo,
                operations,
                commit_message=f"Data of {content.title}",
                repo_type=_KIND,
                revision=self.branch,
                parent_commit=found.revision,
            )
        except FAILURES as error:
            if status_of(error) == _STALE or is_transient(error):
                # The next plan shows whether the commit was made after all.
                raise Again from error
            raise self._problem(error, "nothing was changed") from error
        with self._report_outcome(f"commit {made.oid} was made, but could not be verified; run again"):
            self._verify(content, made.oid)
        return made.oid

    def _fate(self, revision: str | None) -> str:
        """Return the outcome of a commit whose responses were lost."""
        try:
            head = self._api.dataset_info(self.repo, revision=self.branch).sha
        except FAILURES:
            return "whether anything was changed could not be asked; run again"
        return "nothing was changed" if head == revision else f"the head is now {head}; run again"

    def _verify(self, content: Content, revision: str) -> None:
        """Raise if a commit holds other content than intended."""
        left = compare(self._here, content.pieces, PublishedState(revision, self._files(revision)))
        if left.changes:
            names = [*(piece.path for piece in left.add), *left.delete]
            raise PublicationError(
                f"{self._here}: commit {revision} was made, but the hub holds other content than was sent: "
                f"{', '.join(names[:3])}{' …' if names[3:] else ''}. Publish again; if it stays so, revert the commit"
            )

    def _upload(self, found: Plan, step: Step) -> list[CommitOperationAdd | CommitOperationDelete]:
        """Upload the files that the hub lacks; return the operations. Readers see no change before the commit."""
        added = [(piece, CommitOperationAdd(piece.path, piece.source)) for piece in found.add]
        for batch in _batches(added, BATCH):
            with _without_bars():
                self._api.preupload_lfs_files(
                    self.repo,
                    [operation for _, operation in batch],
                    repo_type=_KIND,
                    revision=self.branch,
                    free_memory=False,
                )
            for piece, operation in batch:
                # The hash of the sent bytes differs from the planned one if someone wrote to the file meanwhile.
                if operation.upload_info.sha256.hex() != piece.sha256:
                    raise PublicationError(f"{piece.path} changed while it was sent; nothing was changed, run again")
                step(piece.path)
        return [*(operation for _, operation in added), *(CommitOperationDelete(path) for path in found.delete)]

    def _compare(self, content: Content, published: PublishedState) -> Plan:
        require_may_replace(content.manifest, published, self._here)
        if ".gitignore" in published.files:
            raise PublicationError(f"{self._here} has a .gitignore, by which the hub leaves out files; remove it first")
        return compare(self._here, content.pieces, published, self._losses(content, published))

    def _losses(self, content: Content, published: PublishedState) -> tuple[Loss, ...]:
        """Return the published keys that would be removed; only files that the comparison needs are downloaded."""
        compared = published.revision, content.manifest
        if self._compared is None or self._compared[0] != compared:
            with tempfile.TemporaryDirectory() as folder, _without_bars():

                def locate(path: str) -> Path:
                    known = path in published.files
                    return self._download(path, published.revision, folder) if known else Path(folder) / "missing"

                losses = allowed_losses(content, published, locate, self.allowed, self._here)
            self._compared = compared, losses
        return self._compared[1]

    def _there(self) -> PublishedState:
        """Return the content of the branch; for a branch that does not exist yet, its initial content."""
        for branch in dict.fromkeys((self.branch, "main")):
            try:
                revision = self._call(lambda branch=branch: self._api.dataset_info(self.repo, revision=branch)).sha
            except RepositoryNotFoundError:
                return PublishedState()
            except RevisionNotFoundError:
                continue
            files = self._files(revision)
            return PublishedState(revision, files, self._manifest(revision) if MANIFEST in files else None)
        return PublishedState()

    def _files(self, revision: str) -> dict[str, PublishedFile]:
        listed = self._api.list_repo_tree(self.repo, recursive=True, revision=revision, repo_type=_KIND)
        files = [entry for entry in listed if isinstance(entry, RepoFile)]
        return {
            file.path: PublishedFile(file.size, file.lfs.sha256 if file.lfs else None, file.blob_id) for file in files
        }

    def _manifest(self, revision: str) -> Manifest:
        with tempfile.TemporaryDirectory() as folder:
            return read_manifest(self._download(MANIFEST, revision, folder))

    def _download(self, path: str, revision: str | None, folder: str) -> Path:
        options = {"repo_type": _KIND, "revision": revision, "cache_dir": folder}
        return Path(self._call(lambda: self._api.hf_hub_download(self.repo, path, **options)))

    def _make(self) -> None:
        """Create the repository and the branch if they are missing."""
        try:
            self._call(lambda: self._api.dataset_info(self.repo, revision=self.branch))
        except RepositoryNotFoundError:
            self._call(lambda: self._api.create_repo(self.repo, repo_type=_KIND, private=self.private, exist_ok=True))
        except RevisionNotFoundError:
            pass
        else:
            return
        if self.branch != "main":
            self._call(lambda: self._api.create_branch(self.repo, branch=self.branch, repo_type=_KIND, exist_ok=True))

    def _tags(self) -> dict[str, str]:
        """Return the commit of each tag."""
        try:
            refs = self._call(lambda: self._api.list_repo_refs(self.repo, repo_type=_KIND))
        except RepositoryNotFoundError:
            return {}
        return {ref.name: ref.target_commit for ref in refs.tags}

    def _require_free(self, tag: str | None, content: Content) -> None:
        """Raise if the tag exists and names other data."""
        if tag is None or (named := self._tags().get(tag)) is None:
            return
        if compare(self._here, content.pieces, PublishedState(named, self._files(named))).changes:
            raise PublicationError(
                f"{self._here}: tag {tag} exists and names other data (commit {named}); nothing was changed. "
                "A release is never changed: take another tag"
            )

    def _tag(self, tag: str, revision: str, content: Content) -> None:
        try:
            self._call(lambda: self._api.create_tag(self.repo, tag=tag, revision=revision, repo_type=_KIND))
        except HfHubHTTPError as error:
            if status_of(error) != _EXISTS:
                raise
            self._require_free(tag, content)

    def _call(self, do: Callable[[], T]) -> T:
        """Make a request that can safely be repeated; retry it after transient errors."""
        return retrying(is_transient)(do)

    @contextmanager
    def _report_outcome(self, so_far: str) -> Iterator[None]:
        """Raise failures of the client as cexkit errors that state what was done so far."""
        try:
            yield
        except CexkitError:
            raise
        except FAILURES as error:
            raise self._problem(error, so_far) from error

    def _problem(self, error: Exception, so_far: str) -> PublicationError:
        """Return the error to raise; its message contains neither a token nor a signed URL."""
        if isinstance(error, RuntimeError) and isinstance(error.__cause__, FAILURES):
            error = error.__cause__
        status, problem = status_of(error), f"{type(error).__name__}: {error}"
        if isinstance(error, HfHubHTTPError):
            problem = f"status {status}" + (f": {error.server_message}" if error.server_message else "")
        hint = "; set HF_TOKEN to a token that may write there" if status in {401, 403, 404} else ""
        hint = hint or ("" if status else network_hint(self._api.endpoint, error))
        return PublicationError(f"could not publish to {self._here}: {problem}{hint}. {so_far[:1].upper()}{so_far[1:]}")


@contextmanager
def _without_bars() -> Iterator[None]:
    """Disable the client's progress bars, because it cannot know if a screen exists; ``step`` reports progress."""
    were = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were:
            enable_progress_bars()


def _batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(things)
    while batch := list(islice(left, size)):
        yield batch
