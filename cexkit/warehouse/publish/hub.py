"""Publishing to HuggingFace: large files first, then one commit on the head that was looked at.

``huggingface_hub`` itself tries uploads again (five times, on 408, 429, 5xx and broken connections), but neither the
commit nor what is asked before and after it; that is done here. A commit whose response was lost, and one that somebody
else came before, end the same way: the plan is made anew against the head that is there now.
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
from cexkit.warehouse.publish.content import Content, Step
from cexkit.warehouse.publish.plans import Plan, PublishedFile, PublishedState, compare
from cexkit.warehouse.publish.retry import FAILURES, Again, is_transient, retrying, status_of
from cexkit.warehouse.publish.rules import require_may_replace
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.manifest import Manifest, read_manifest

#: Files that are sent together; each is told to the progress when all of them are there.
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
        ``owner/name`` and its branch; both are made where they are not there.
    replace : bool
        Let a publication take the place of another or newer dataset.
    private : bool
        Whether a repository that is made is private.

    Examples
    --------
    >>> Hub("me/data", "main")
    Hub('me/data', 'main')
    """

    def __init__(self, repo: str, branch: str, *, replace: bool = False, private: bool = False):
        self.repo, self.branch, self.replace, self.private = repo, branch, replace, private

    def __repr__(self) -> str:
        return f"Hub({self.repo!r}, {self.branch!r})"

    @cached_property
    def _api(self) -> HfApi:
        """The client, which finds the token itself: none passes through here."""
        return HfApi(library_name="cexkit")

    @property
    def name(self) -> str:
        """What readers call it; the same on every branch, so that a branch can become another one."""
        return f"hf://datasets/{self.repo}"

    @property
    def _here(self) -> str:
        return f"{self.name}@{self.branch}"

    def plan(self, content: Content, tag: str | None = None) -> Plan:
        """What would change; nothing is."""
        with self._report_outcome("nothing was changed"):
            published = self._there()
            found = self._compare(content, published)
            self._require_free(tag, content)
        return found

    def put(self, content: Content, *, tag: str | None, step: Step) -> tuple[Plan, str | None, str]:
        """Make the branch hold the content, in one commit; none where it does already."""
        self.plan(content, tag)
        with self._report_outcome("no data was published"):
            self._make()
        done, revision = self._settle(content, step)
        if tag is not None:
            with self._report_outcome(f"the data is published as {revision}, but not tagged; run again"):
                self._tag(tag, revision, content)
        return done, revision, f"{self._api.endpoint}/datasets/{self.repo}/commit/{revision}"

    def _settle(self, content: Content, step: Step) -> tuple[Plan, str]:
        """Plan and commit until the head holds the content. Returns what was changed, and the head."""
        plans: list[Plan] = []
        try:
            for attempt in retrying(lambda error: isinstance(error, Again)):
                with attempt:
                    with self._report_outcome("nothing was changed"):
                        plans.append(self._compare(content, self._there()))
                        operations = self._upload(plans[-1], step)
                    revision = self._commit(content, plans[-1], operations) if operations else plans[-1].revision
        except Again as again:
            raise self._problem(again.__cause__, self._fate(plans[-1].revision)) from again.__cause__
        return plans[0], revision

    def _commit(self, content: Content, found: Plan, operations: list) -> str:
        """Commit what was uploaded, and hold what the hub then says against the manifest."""
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
                # whether it was done after all, the next plan sees
                raise Again from error
            raise self._problem(error, "nothing was changed") from error
        with self._report_outcome(f"commit {made.oid} was made, but could not be verified; run again"):
            self._verify(content, made.oid)
        return made.oid

    def _fate(self, revision: str | None) -> str:
        """What became of a commit whose responses were lost."""
        try:
            head = self._api.dataset_info(self.repo, revision=self.branch).sha
        except FAILURES:
            return "whether anything was changed could not be asked; run again"
        return "nothing was changed" if head == revision else f"the head is now {head}; run again"

    def _verify(self, content: Content, revision: str) -> None:
        """Raise if a commit holds anything else than was meant."""
        left = compare(self._here, content.pieces, PublishedState(revision, self._files(revision)))
        if left.changes:
            names = [*(piece.path for piece in left.add), *left.delete]
            raise PublicationError(
                f"{self._here}: commit {revision} was made, but the hub holds other content than was sent: "
                f"{', '.join(names[:3])}{' …' if names[3:] else ''}. Publish again; if it stays so, revert the commit"
            )

    def _upload(self, found: Plan, step: Step) -> list[CommitOperationAdd | CommitOperationDelete]:
        """Send what the hub does not have yet. No reader sees it before the commit."""
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
                # the hash of the bytes that were sent, which is not that of the file before where someone wrote to it
                if operation.upload_info.sha256.hex() != piece.sha256:
                    raise PublicationError(f"{piece.path} changed while it was sent; nothing was changed, run again")
                step(piece.path)
        return [*(operation for _, operation in added), *(CommitOperationDelete(path) for path in found.delete)]

    def _compare(self, content: Content, published: PublishedState) -> Plan:
        require_may_replace(content.manifest, published, self._here, replace=self.replace)
        if ".gitignore" in published.files:
            raise PublicationError(f"{self._here} has a .gitignore, by which the hub leaves out files; remove it first")
        return compare(self._here, content.pieces, published)

    def _there(self) -> PublishedState:
        """What the branch holds; for a branch that is still to be made, what it will begin with."""
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
            path = self._call(
                lambda: self._api.hf_hub_download(
                    self.repo, MANIFEST, repo_type=_KIND, revision=revision, cache_dir=folder
                )
            )
            return read_manifest(Path(path))

    def _make(self) -> None:
        """Make the repository and the branch where they are not there."""
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
        """Commits by tag."""
        try:
            refs = self._call(lambda: self._api.list_repo_refs(self.repo, repo_type=_KIND))
        except RepositoryNotFoundError:
            return {}
        return {ref.name: ref.target_commit for ref in refs.tags}

    def _require_free(self, tag: str | None, content: Content) -> None:
        """Refuse a tag that names other data."""
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
        """Ask what can be asked twice, and try again where that may help."""
        return retrying(is_transient)(do)

    @contextmanager
    def _report_outcome(self, so_far: str) -> Iterator[None]:
        """Failures of the client as errors of cexkit that say what was done so far."""
        try:
            yield
        except CexkitError:
            raise
        except FAILURES as error:
            raise self._problem(error, so_far) from error

    def _problem(self, error: Exception, so_far: str) -> PublicationError:
        """What went wrong, in words that hold neither token nor signed address."""
        if isinstance(error, RuntimeError) and isinstance(error.__cause__, FAILURES):
            error = error.__cause__
        status, problem = status_of(error), f"{type(error).__name__}: {error}"
        if isinstance(error, HfHubHTTPError):
            problem = f"status {status}" + (f": {error.server_message}" if error.server_message else "")
        hint = "; set HF_TOKEN to a token that may write there" if status in {401, 403, 404} else ""
        return PublicationError(f"could not publish to {self._here}: {problem}{hint}. {so_far[:1].upper()}{so_far[1:]}")


@contextmanager
def _without_bars() -> Iterator[None]:
    """No progress bars of the client, which knows nothing of whether there is a screen; see ``step``."""
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
