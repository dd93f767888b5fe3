"""Comparison of the keys of two datasets: which published keys does another state of the dataset lack?

Files that both datasets have are not opened. The other files are compared by their key digests
(:mod:`cexkit.warehouse.store.keys`). Only if a digest differs are keys read, ours first: rows are usually added before
or after the published ones, which our keys alone can prove. Otherwise the published file is read, and keys are compared
one by one, so that added rows do not hide lost ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cexkit.errors import DatasetError
from cexkit.schema import TABLES, Table
from cexkit.warehouse.publish.losses import Loss
from cexkit.warehouse.store.damage import sha256
from cexkit.warehouse.store.keys import (
    ALL,
    Digests,
    Group,
    contains_run,
    file_digests,
    group_hashes,
    has_keys,
    keys_path,
    merged,
    read_digests,
)
from cexkit.warehouse.store.manifest import DataFile, Manifest

#: Length of the part of a month's name that names the largest file period of a table.
_PERIOD_LENGTH = {"all": 0, "year": 4, "month": 7}


@dataclass(frozen=True, slots=True)
class Dataset:
    """A manifest, and access to the files that it names.

    Attributes
    ----------
    manifest : Manifest
        The state to compare.
    locate : callable
        Returns the local path of a file, downloading it if necessary; of a missing file, a path that does not exist.
    """

    manifest: Manifest
    locate: Callable[[str], Path]

    def digests(self, file: DataFile, table: Table) -> Digests:
        """Return the key digests of a file; without usable stored digests, those of its rows.

        Raises
        ------
        DatasetError
            If the file is missing or damaged.
        """
        found = self.stored_digests(file, table)
        return file_digests([self._data(file)], table) if found is None else found

    def stored_digests(self, file: DataFile, table: Table) -> Digests | None:
        """Return the stored key digests of a file; None without usable ones. The data file is not read."""
        name = keys_path(file)
        path = None if name is None else self._intact(name, file.keys_sha256)
        return None if path is None else read_digests(path, table)

    def hashes(self, files: Iterable[DataFile], table: Table, groups: set[Group]) -> dict[Group, np.ndarray]:
        """Return the key hashes of some instruments and months; errors are those of :meth:`digests`."""
        return group_hashes((self._data(file) for file in files), table, groups)

    def _data(self, file: DataFile) -> Path:
        path = self._intact(file.path, file.sha256)
        if path is None:
            raise DatasetError(f"{file.path} is missing or differs from the manifest (sha256)")
        return path

    def _intact(self, name: str, digest: str | None) -> Path | None:
        path = self.locate(name)
        return path if path.is_file() and sha256(path) == digest else None


def find_losses(ours: Dataset, published: Dataset) -> tuple[Loss, ...]:
    """Return the published keys that our dataset lacks, per table and venue.

    Gold tables are recomputed, so only a missing Gold table counts as a loss.

    Raises
    ------
    DatasetError
        If one of our files is missing or damaged.

    Examples
    --------
    >>> from cexkit.warehouse.store.locations import SAMPLE_ROOT
    >>> from cexkit.warehouse.store.warehouse import Warehouse
    >>> sample = Dataset(Warehouse(SAMPLE_ROOT).manifest, SAMPLE_ROOT.joinpath)
    >>> find_losses(sample, sample)
    ()
    >>> print(find_losses(Dataset(Manifest(), SAMPLE_ROOT.joinpath), sample)[0])
    data_quality: ... keys
    """
    mine, found = _by_table(ours.manifest), []
    for (name, exchange), files in _by_table(published.manifest).items():
        kept = mine.get((name, exchange), [])
        same = {(file.path, file.sha256) for file in kept} & {(file.path, file.sha256) for file in files}
        old, new = ([file for file in each if (file.path, file.sha256) not in same] for each in (files, kept))
        if old:
            found.append(_loss(ours, published, name, exchange, old, new if kept else None))
    return tuple(loss for loss in found if loss is not None and loss.keys)


def _by_table(manifest: Manifest) -> dict[tuple[str, str | None], list[DataFile]]:
    files: dict[tuple[str, str | None], list[DataFile]] = defaultdict(list)
    for file in manifest.files:
        files[file.table, file.exchange].append(file)
    return files


def _loss(
    ours: Dataset,
    published: Dataset,
    name: str,
    exchange: str | None,
    old: Sequence[DataFile],
    new: Sequence[DataFile] | None,
) -> Loss | None:
    """Return the loss in the files that leave (``old``); ``new`` replace them, None if ours lacks the table."""
    table = TABLES.get(name)
    if table is None:
        return Loss(name, exchange, sum(file.rows for file in old), uncompared=tuple(file.path for file in old))
    if new is None:
        return _whole(published, table, exchange, old)
    if not has_keys(table):
        return None
    return _Pair(ours, published, table, exchange).loss(old, new)


def _whole(published: Dataset, table: Table, exchange: str | None, files: Sequence[DataFile]) -> Loss:
    """Return the loss of a whole table of a venue. Data files are not read, because their keys are lost anyway."""
    stored = [published.stored_digests(file, table) for file in files] if has_keys(table) else []
    groups = merged(digests for digests in stored if digests is not None)
    return _named(table, exchange, sum(file.rows for file in files), groups)


def _named(table: Table, exchange: str | None, keys: int, groups: Iterable[Group], *uncompared: str) -> Loss:
    found = set(groups)
    instruments = {" ".join(group.instrument[1:]) for group in found}
    months = {group.month for group in found} - {ALL}
    return Loss(table.name, exchange, keys, tuple(sorted(instruments)), tuple(sorted(months)), uncompared)


class _Pair:
    """The replaced files of one table and venue, published and ours."""

    def __init__(self, ours: Dataset, published: Dataset, table: Table, exchange: str | None):
        self._ours, self._published, self._table, self._exchange = ours, published, table, exchange
        #: Keys of published files that could not be read.
        self._uncompared: dict[str, int] = {}

    def loss(self, old: Sequence[DataFile], new: Sequence[DataFile]) -> Loss:
        """Return the keys of the old files that the new ones lack."""
        before, after = self._published_digests(old), {f: self._ours.digests(f, self._table) for f in _in_time(new)}
        theirs, mine = merged(before.values()), merged(after.values())
        lost = {group: digest.rows for group, digest in theirs.items() if group not in mine}
        for changed in self._batches(group for group, digest in theirs.items() if mine.get(group, digest) != digest):
            hashes = self._ours.hashes(_holding(after, changed), self._table, changed)
            unproven = {group for group in changed if not contains_run(hashes[group], theirs[group])}
            for group, published in self._published_hashes(before, unproven).items():
                lost[group] = len(np.setdiff1d(published, hashes[group]))
        lost = {group: keys for group, keys in lost.items() if keys}
        keys = sum(lost.values()) + sum(self._uncompared.values())
        return _named(self._table, self._exchange, keys, lost, *sorted(self._uncompared))

    def _published_digests(self, files: Sequence[DataFile]) -> dict[DataFile, Digests]:
        found = {}
        for file in files:
            try:
                found[file] = self._published.digests(file, self._table)
            except DatasetError:
                self._uncompared[file.path] = file.rows
        return found

    def _published_hashes(self, before: dict[DataFile, Digests], groups: set[Group]) -> dict[Group, np.ndarray]:
        parts: dict[Group, list[np.ndarray]] = defaultdict(list)
        for file in _holding(before, groups):
            try:
                found = self._published.hashes([file], self._table, groups)
            except DatasetError:
                self._uncompared[file.path] = sum(d.rows for group, d in before[file].items() if group in groups)
                continue
            for group, hashes in found.items():
                parts[group].append(hashes)
        return {group: np.concatenate(hashes) for group, hashes in parts.items()}

    def _batches(self, groups: Iterable[Group]) -> Iterator[set[Group]]:
        """Split groups by the largest file period, so that the hashes of one period are in memory at a time."""
        length = _PERIOD_LENGTH[self._table.period]
        batches: dict[str, set[Group]] = defaultdict(set)
        for group in groups:
            batches[group.month[:length]].add(group)
        yield from (batches[period] for period in sorted(batches))


def _in_time(files: Iterable[DataFile]) -> list[DataFile]:
    return sorted(files, key=lambda file: file.period)


def _holding(digests: dict[DataFile, Digests], groups: set[Group]) -> list[DataFile]:
    """Return the files that hold keys of some groups."""
    return [file for file, found in digests.items() if not groups.isdisjoint(found)]
