"""Ledger of a venue's table: the Bronze responses that its Silver rows came from.

Silver is built from Bronze, and a build reads only what is new. The ledger remembers what was read::

    ledger/<table>/exchange=<x>/files.parquet                   one row per Bronze file
    ledger/<table>/exchange=<x>/days.parquet                    rows that the responses gave, by UTC day
    ledger/<table>/exchange=<x>/state.parquet                   digest of the Silver files that the last build left
    ledger/<table>/exchange=<x>/rules.parquet                   what is left out on purpose
    ledger/<table>/exchange=<x>/removed.parquet                 keys that left Silver, and by which rule
    ledger/<table>/exchange=<x>/responses/<yyyy-mm-dd>.parquet  one row per response, by the day it was received
    ledger/<table>/exchange=<x>/facts.parquet                   facts of instruments that the rows were made with
    ledger/instruments/exchange=<x>/{lists,changes,current}.parquet  what all lists show, for the next build
    ledger/<table>/exchange=<x>/{labels,ended}.parquet          what decided which rows are used, for the next build

A Bronze file that is missing or changed is reported, its rows stay in Silver, and a check blocks publication until the
file is back or retired on purpose.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from cexkit.schema import Table
from cexkit.schema.intervals import Window
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.earlier_ledger import read_earlier
from cexkit.warehouse.store.ledger_files import (
    DAYS,
    EMPTY,
    FILES,
    RESPONSES,
    RULES,
    STATE,
    LedgerFile,
    read_part,
    schema_of,
)
from cexkit.warehouse.store.parquet import locked, write_atomic, writing

if TYPE_CHECKING:
    import polars as pl

#: Rule by which the rows of a response are left out, by its ``sha256``.
EXCLUDED = "excluded response"
#: State of a build: facts of instruments that the rows were made with.
FACTS = "facts"


class Ledger:
    """What Silver holds of one table of a venue, by Bronze file.

    Parameters
    ----------
    root : Path
        Folder of the warehouse.
    exchange : str
        Venue.
    table : Table
        The declaration.

    Raises
    ------
    DatasetError
        If the ledger cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from cexkit.schema import TABLES
    >>> ledger = Ledger(Path(tempfile.mkdtemp()), "okx", TABLES["ohlcv_1h"])
    >>> ledger.record([{"path": "bronze/a.parquet", "bytes": 9, "state": "merged"}])
    >>> [file.problem for file in ledger.lost]
    ['bronze/a.parquet is missing']
    >>> ledger.retire(["bronze/a.parquet"])
    1
    >>> ledger.lost
    []
    """

    def __init__(self, root: Path, exchange: str, table: Table):
        self.root, self.exchange, self.table = root, exchange, table
        self._folder = root / layout.ledger_folder(table, exchange)
        self._read()

    def _read(self) -> None:
        path, earlier = (
            self._folder / "files.parquet",
            self.root / layout.earlier_ledger_file(self.table, self.exchange),
        )
        #: True if an earlier version of the storage wrote it, and no build has merged Bronze since.
        self.is_earlier = not path.exists() and earlier.exists()
        if self.is_earlier:
            self.files, self._earlier_responses = read_earlier(self.root, earlier)
        else:
            self.files = read_part(path, FILES)
        self.__dict__.pop("_problems", None)
        self._recorded: dict[str, pl.DataFrame] = {}

    @property
    def days(self) -> dict[str, int]:
        """Rows of Silver and its quarantine by UTC day as ISO text; ``"all"`` for a table without times."""
        return dict(read_part(self._folder / "days.parquet", DAYS).iter_rows())

    @property
    def rules(self) -> pl.DataFrame:
        """What is left out on purpose: ``rule``, and the ``endpoint``, instrument, or ``sha256`` that it applies to."""
        return read_part(self._folder / "rules.parquet", RULES)

    def responses(self, day: str) -> pl.DataFrame:
        """Return the responses received on a day: hash, parser version, and rows of each."""
        if self.is_earlier:
            rows = self._earlier_responses
            return rows.filter([layout.received_on(path) == day for path in rows["path"]])
        return read_part(self._folder / "responses" / f"{day}.parquet", RESPONSES)

    def hashes(self, path: str) -> frozenset[str]:
        """Return the hashes of the responses that a Bronze file had when it was read; empty if no build has read it."""
        day = layout.received_on(path)
        if day not in self._recorded:
            self._recorded[day] = self.responses(day)
        return frozenset(self._recorded[day].filter(path=path)["sha256"])

    def change_of(self, path: str, hashes: Iterable[str]) -> str | None:
        """Return how a Bronze file with responses of these hashes differs from what was read; None if it has all."""
        recorded = self.hashes(path)
        lacking = len(recorded - set(hashes))
        return f"{path} lacks {lacking:,} of {len(recorded):,} responses that were read from it" if lacking else None

    @property
    def response_days(self) -> list[str]:
        """Days on which responses were received."""
        if self.is_earlier:
            return sorted({layout.received_on(path) for path in self._earlier_responses["path"]})
        return sorted(path.stem for path in (self._folder / "responses").glob("[!.]*.parquet"))

    def new(self, found: Iterable[str], names: str | None = None) -> list[str]:
        """Return the Bronze files of those found that are still to be merged, in the order given.

        A waiting file is new again when other instrument ``names`` (their digest) are known.
        """
        import polars as pl

        waits = (pl.col("state") == "waiting") & (pl.col("names") == pl.lit(names, pl.String))
        done = self.files.filter(pl.col("state").is_in(["merged", "other"]) | pl.col("retired") | waits)
        known = set(done["path"])
        return [path for path in found if path not in known]

    @property
    def is_interrupted(self) -> bool:
        """True if a build began and did not end: Silver may hold more than what is recorded.

        A build states the span of the files that it begins to merge; files that only arrived have none yet.
        """
        import polars as pl

        begun = pl.col("start").is_not_null() & ~pl.col("retired")
        return not self.files.filter(pl.col("state") == "pending", begun).is_empty()

    @property
    def silver(self) -> str | None:
        """Digest of the Silver files that the last build left (:meth:`Manifest.state_of`); None if unknown."""
        state = read_part(self._folder / "state.parquet", STATE)
        return state["silver"][0] if state.height else None

    def record_silver(self, digest: str | None) -> None:
        """Record the digest of the Silver files; None while they are being changed."""
        if digest != self.silver:
            self._write("state.parquet", [{"silver": digest}], STATE)

    def reset(self) -> None:
        """Make all files pending, so that the next build merges all of them again."""
        import polars as pl

        merged = self.files.filter(pl.col("state").is_in(["merged", "waiting"]), ~pl.col("retired"))
        self._replace_files(merged.with_columns(state=pl.lit("pending")).iter_rows(named=True))

    def stale(self, parser_version: int) -> int:
        """Return the number of merged files that an older version of the parsers read and that can be read again."""
        import polars as pl

        merged = pl.col("state").is_in(["merged", "waiting"]) & ~pl.col("retired")
        present = ~pl.col("path").is_in(list(self._problems))
        return self.files.filter(merged, present, pl.col("parser_version") < parser_version).height

    @property
    def span(self) -> Window | None:
        """The span of the rows of all files; None without times."""
        start, end = self.files["start"].min(), self.files["end"].max()
        return None if start is None or end is None else Window(start, end)

    @property
    def last_sequence(self) -> int | None:
        """The largest request number of a merged response; None without any."""
        import polars as pl

        return self.files.filter(pl.col("state").is_in(["merged", "waiting"]))["last_sequence"].max()

    def read_state(self, name: str) -> pl.DataFrame | None:
        """Return a frame that :meth:`write_state` stored; None if there is none that can be read."""
        import polars as pl

        try:
            return pl.read_parquet(self._folder / f"{name}.parquet", hive_partitioning=False, glob=False)
        except (pl.exceptions.PolarsError, OSError):
            return None

    def write_state(self, name: str, frame: pl.DataFrame) -> None:
        """Store a frame with which the next build continues; it may be deleted."""
        before = self.read_state(name)
        if before is None or not frame.equals(before):
            self._write(f"{name}.parquet", frame, None)

    @property
    def _states(self) -> list[str]:
        names = {path.stem for path in self._folder.glob("[!.]*.parquet")}
        return sorted(names - {"files", "days", "rules", "removed"})

    def drop_state(self) -> None:
        """Delete what :meth:`write_state` stored: the next build reads all responses again."""
        with writing(self._folder):
            (self._folder / "lists.parquet").unlink(missing_ok=True)

    def candidates(self, paths: Iterable[str], span: Window) -> list[str]:
        """Return the Bronze files of those given that can hold rows of a span, in the order given.

        A file that no build has read can hold any rows.
        """
        import polars as pl

        outside = (pl.col("start") >= span.end) | (pl.col("end") <= span.start)
        known = self.files.filter(pl.col("state").is_in(["merged", "waiting"]), outside)
        left_out = {*known["path"], *self.files.filter(state="other")["path"]}
        return [path for path in paths if path not in left_out]

    def overlapping(self, span: Window) -> list[LedgerFile]:
        """Return the merged files that are as they were read and can hold rows of a span."""
        import polars as pl

        sound = self.files.filter(
            pl.col("state").is_in(["merged", "waiting"]),
            ~pl.col("retired"),
            ~pl.col("path").is_in(list(self._problems)),
            (pl.col("start") < span.end) & (pl.col("end") > span.start),
        )
        return [LedgerFile(**row) for row in sound.iter_rows(named=True)]

    @property
    def lost(self) -> list[LedgerFile]:
        """The files that are missing, changed, or damaged, and were not retired."""
        import polars as pl

        rows = self.files.filter(pl.col("path").is_in(list(self._problems)), ~pl.col("retired"))
        return [LedgerFile(**row, problem=self._problems[row["path"]]) for row in rows.iter_rows(named=True)]

    def absent(self, span: Window | None = None) -> list[LedgerFile]:
        """Return the lost and the retired files that can hold rows of a span."""
        import polars as pl

        retired = [LedgerFile(**row) for row in self.files.filter(pl.col("retired")).iter_rows(named=True)]
        return [file for file in (*self.lost, *retired) if span is None or file.overlaps(span)]

    @cached_property
    def _problems(self) -> dict[str, str]:
        """What is wrong with files on disk, by path; content is verified on reading."""
        import polars as pl

        found, rows = {}, self.files.filter(pl.col("state") != "other", ~pl.col("retired"))
        root = os.fspath(self.root)  # text, because making a Path takes longer than reading a size
        for path, size, damage in rows.select("path", "bytes", "damage").iter_rows():
            try:
                now = os.stat(f"{root}/{path}").st_size
            except (FileNotFoundError, NotADirectoryError):
                found[path] = f"{path} is missing"
                continue
            if now != size:
                found[path] = f"{path} has {now:,} bytes, {size:,} when it was read"
            elif damage is not None:
                found[path] = damage
        return found

    def announce(self, paths: Iterable[str]) -> None:
        """Add Bronze files that were just written and that no build has read yet."""
        self._replace_files(
            {"path": path, "bytes": (self.root / path).stat().st_size, "state": "pending"} for path in paths
        )

    def record(
        self,
        files: Iterable[Mapping[str, Any]],
        responses: Iterable[Mapping[str, Any]] = (),
        days: Mapping[str, int] | None = None,
        *,
        within: Window | None = None,
    ) -> None:
        """Add or replace files and their responses; what is not given of a file stays, or is empty.

        Parameters
        ----------
        files : iterable of mapping
            Columns of ``files``; at least path, bytes, and state.
        responses : iterable of mapping
            Responses of these files; those recorded before of the same files are replaced.
        days : mapping of str to int, optional
            Rows by day; they replace those of all days ``within``.
        within : Window, optional
            Default: all time.
        """
        if self.is_earlier:
            with locked(self.root / layout.ledger_lock(self.table, self.exchange)):
                self._read()
                self._keep_earlier()
        if days is not None:
            self._record_days(days, within)
        self._record_responses(list(responses))
        self._replace_files(files)

    def _record_days(self, days: Mapping[str, int], within: Window | None) -> None:
        kept = {day: rows for day, rows in self.days.items() if within is not None and not _inside(day, within)}
        after = dict(sorted((kept | {day: rows for day, rows in days.items() if rows}).items()))
        if after != self.days:
            self._write("days.parquet", [{"day": day, "rows": rows} for day, rows in after.items()], DAYS)

    def _record_responses(self, responses: list[Mapping[str, Any]]) -> None:
        import polars as pl

        self._recorded.clear()
        by_day: dict[str, list[Mapping[str, Any]]] = {}
        for response in responses:
            by_day.setdefault(layout.received_on(response["path"]), []).append(response)
        for day, rows in by_day.items():
            before = self.responses(day)
            others = before.filter(~pl.col("path").is_in(list({row["path"] for row in rows})))
            after = pl.concat([others, pl.DataFrame(rows, schema_of(RESPONSES))]).sort("path", "position")
            if not after.equals(before):
                self._write(f"responses/{day}.parquet", after, RESPONSES)

    def _replace_files(self, files: Iterable[Mapping[str, Any]]) -> None:
        given = {row["path"]: row for row in files}
        if given:
            with locked(self.root / layout.ledger_lock(self.table, self.exchange)):
                self._read()  # another process may have added files
                self._merge_files(given)

    def _keep_earlier(self) -> None:
        """Write what an earlier version of the storage recorded as it is recorded now; the caller holds the lock."""
        if self.is_earlier:
            for day in self.response_days:
                self._write(f"responses/{day}.parquet", self.responses(day), RESPONSES)
            self._write("files.parquet", self.files.sort("path"), FILES)
            self.is_earlier = False

    def _merge_files(self, given: Mapping[str, Mapping[str, Any]]) -> None:
        import polars as pl

        self._keep_earlier()
        before = {
            row["path"]: row for row in self.files.filter(pl.col("path").is_in(list(given))).iter_rows(named=True)
        }
        changed = [EMPTY | before.get(path, {}) | row for path, row in given.items()]
        others = self.files.filter(~pl.col("path").is_in(list(given)))
        after = pl.concat([others, pl.DataFrame(changed, schema_of(FILES))]).sort("path")
        if not after.equals(self.files):
            self._write("files.parquet", after, FILES)
        self.files = after
        self.__dict__.pop("_problems", None)

    def set_rules(self, rule: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replace all rules of a kind."""
        import polars as pl

        empty = dict.fromkeys(RULES)
        added = pl.DataFrame([empty | row | {"rule": rule} for row in rows], schema_of(RULES))
        after = pl.concat([self.rules.filter(pl.col("rule") != rule), added]).unique().sort(pl.all())
        if not after.equals(self.rules.sort(pl.all())):
            self._write("rules.parquet", after, RULES)

    def exclude(self, digest: str, *, excluded: bool = True) -> int:
        """Leave out the rows of the responses with a hash, or use them again, from the next build on.

        Returns
        -------
        int
            Responses that have the hash.
        """
        import polars as pl

        paths = self.holders(digest)
        hashes = self.excluded
        after = hashes | {digest} if excluded else hashes - {digest}
        if paths and after != hashes:
            self.set_rules(EXCLUDED, [{"sha256": each} for each in sorted(after)])
            rows = self.files.filter(pl.col("path").is_in(paths))
            again = rows.with_columns(state=pl.lit("pending"), retired=pl.lit(value=False))
            self._replace_files(again.iter_rows(named=True))
            self.drop_state()
        return len(paths)

    def holders(self, digest: str) -> list[str]:
        """Return the Bronze file of each response that has a hash, and the archive file of that hash."""
        found = self.responses_with([digest])["path"].to_list()
        archives = (path for path in self.files["path"] if PurePosixPath(path).stem == digest)
        return [*found, *(path for path in archives if path not in found)] if found else []

    def responses_with(self, digests: Collection[str]) -> pl.DataFrame:
        """Return the responses that have one of some hashes."""
        import polars as pl

        days = [self.responses(day) for day in self.response_days]
        rows = pl.concat([pl.DataFrame(schema=schema_of(RESPONSES)), *days])
        return rows.filter(pl.col("sha256").is_in(list(digests)))

    @property
    def excluded(self) -> frozenset[str]:
        """Hashes of the responses whose rows are left out."""
        return frozenset(self.rules.filter(rule=EXCLUDED)["sha256"])

    def record_content(self, found: Mapping[str, str | None]) -> int:
        """Record how the content of files differs from what was read; None: it is the same. Return how many changed.

        The next build reads these files again, and those that refer to them. Files of another size are left out,
        because each run notices them. So are ledgers of earlier versions, whose files are all read again.
        """
        import polars as pl

        if self.is_earlier:
            return 0
        known = pl.col("path").is_in(list(found)) & (pl.col("state") != "other") & ~pl.col("retired")
        same_size = (
            (row, found[row["path"]])
            for row in self.files.filter(known).iter_rows(named=True)
            if self._problems.get(row["path"]) == row["damage"]
        )
        changed = [row | {"damage": now} for row, now in same_size if (row["damage"] is None) != (now is None)]
        archives = [PurePosixPath(row["path"]).stem for row in changed if not row["path"].endswith(".parquet")]
        holders = set(self.responses_with(archives)["path"]) if archives else set()
        holders -= {row["path"] for row in changed}
        again = [*changed, *self.files.filter(pl.col("path").is_in(list(holders))).iter_rows(named=True)]
        self._replace_files(row | {"state": "pending"} for row in again)
        return len(changed)

    def log_removed(self, keys: pl.DataFrame, rule: str, at: datetime) -> None:
        """Add keys that a rule removed from Silver to the list of removed ones."""
        import polars as pl

        path = self._folder / "removed.parquet"
        added = keys.with_columns(rule=pl.lit(rule), removed_at=pl.lit(at).dt.cast_time_unit("us"))
        before = [pl.read_parquet(path, hive_partitioning=False, glob=False)] if path.exists() else []
        self._write("removed.parquet", pl.concat([*before, added], how="diagonal_relaxed"), None)

    def adopt(self, other: Ledger) -> None:
        """Replace what is recorded with what another ledger recorded, except retired files and removed keys.

        States for the next build are replaced too: ours belong to other rows.
        """
        import polars as pl

        for name in self._states:
            (self._folder / f"{name}.parquet").unlink(missing_ok=True)
        for name in other._states:
            self.write_state(name, other.read_state(name))
        for day in other.response_days:
            self._write(f"responses/{day}.parquet", other.responses(day), RESPONSES)
        self._record_days(other.days, None)
        self._write("rules.parquet", other.rules, RULES)
        retired = self.files.filter(pl.col("retired"), ~pl.col("path").is_in(other.files["path"].implode()))
        self._write("files.parquet", pl.concat([other.files, retired]).sort("path"), FILES)
        self._read()

    def copy_responses(self, other: Ledger) -> None:
        """Record the responses of another ledger whose files exist; what is recorded of the same days is replaced."""
        import polars as pl

        for day in other.response_days:
            rows = other.responses(day)
            present = [path for path in rows["path"].unique() if (other.root / path).exists()]
            self._write(f"responses/{day}.parquet", rows.filter(pl.col("path").is_in(present)), RESPONSES)
        self._recorded.clear()

    @property
    def removed(self) -> pl.DataFrame:
        """Keys that left Silver, the ``rule`` that removed them, and when."""
        import polars as pl

        path = self._folder / "removed.parquet"
        return pl.read_parquet(path, hive_partitioning=False, glob=False) if path.exists() else pl.DataFrame()

    def retire(self, paths: Collection[str]) -> int:
        """Mark files as moved or removed on purpose; what is known of them and their rows stay. Return how many."""
        import polars as pl

        with locked(self.root / layout.ledger_lock(self.table, self.exchange)):
            self._read()
            chosen = self.files.filter(pl.col("path").is_in(list(paths)), ~pl.col("retired"))
            if chosen.height:
                rows = chosen.with_columns(retired=pl.lit(True)).iter_rows(named=True)
                self._merge_files({row["path"]: row for row in rows})
        return chosen.height

    def unretire(self, paths: Collection[str]) -> int:
        """Undo :meth:`retire`: the next build merges these files again. Return how many."""
        import polars as pl

        rows = self.files.filter(pl.col("path").is_in(list(paths)), pl.col("retired"))
        state = pl.when(pl.col("state") == "other").then("state").otherwise(pl.lit("pending"))
        again = rows.with_columns(retired=pl.lit(value=False), state=state)
        self._replace_files(again.iter_rows(named=True))
        return rows.height

    def _write(self, name: str, rows: Any, schema: Mapping[str, str] | None) -> None:
        import polars as pl

        frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, schema_of(schema))
        write_atomic(
            self._folder / name,
            lambda temporary: pq.write_table(frame.to_arrow(), temporary, compression="zstd"),
            via=self.root / layout.LEDGER,
        )


def _inside(day: str, span: Window) -> bool:
    """Return whether a day is in a span, whose ends are midnights."""
    return f"{span.start:%Y-%m-%d}" <= day < f"{span.end:%Y-%m-%d}"
