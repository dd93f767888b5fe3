"""Ingestion reports and problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import datetime

from cexkit.errors import DamagedFileError, DuplicateKeyError, SchemaError
from cexkit.schema.intervals import Window
from cexkit.text import masked, printable


@dataclass(frozen=True, slots=True)
class Done:
    """An instrument whose requests ended; its text is the venue, the table, and the symbol."""

    exchange: str
    table: str
    symbol: str | None

    def __str__(self) -> str:
        return printable(" ".join(part for part in (self.exchange, self.table, self.symbol) if part))


Step = Callable[[Done], object]
#: Replaces the table name if a venue could not be read at all, and the venue's.
ALL_TABLES, ALL_VENUES = "all tables", "all venues"


@dataclass(frozen=True, slots=True)
class Problem:
    """An ingestion failure and its cause, in one printable line without credentials."""

    exchange: str
    table: str
    symbol: str | None
    window: Window | None
    message: str

    def __post_init__(self) -> None:
        # Venues supply parts of it, and it is stored and shown in many places.
        object.__setattr__(self, "message", printable(masked(self.message)))

    def __str__(self) -> str:
        place = " ".join(str(part) for part in (self.exchange, self.table, self.symbol, self.window) if part)
        return f"{printable(place)}: {self.message}"


@dataclass(frozen=True, slots=True)
class ClockProblem(Problem):
    """Clocks of a venue and of this machine that disagree. A report has at most one per venue."""


@dataclass(frozen=True, slots=True)
class DamageProblem(Problem):
    """A file of the warehouse that is missing or damaged, because of which a step for a table was not done."""


@dataclass(frozen=True, slots=True)
class LostFileProblem(Problem):
    """A Silver file that was missing or damaged; reported by the run that makes it again."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of an ingestion step; reports can be added.

    Attributes
    ----------
    responses : int
        Responses stored in Bronze.
    requests : int
        Requests sent, repeated ones included; 0 if nothing was due.
    usable : int
        Responses that could be read, and archive files that are unchanged; unparsed archive files count as readable.
    rows : int
        Rows written to Silver.
    quarantined : int
        Rows that failed a check and were quarantined.
    files : tuple of str
        Files written, relative to the warehouse.
    problems : tuple of Problem
        Data missing because of an error; empty if all steps succeeded.
    spans : tuple of Window
        Window that the responses can hold rows of, one per table. An archive file holds more than was requested.
    notes : tuple of str
        What is left out on purpose, such as excluded responses.
    """

    responses: int = 0
    rows: int = 0
    quarantined: int = 0
    files: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    spans: tuple[Window, ...] = ()
    notes: tuple[str, ...] = ()
    requests: int = 0
    usable: int = 0

    @property
    def failed(self) -> bool:
        """True if requests were sent and no usable response was received.

        Examples
        --------
        >>> Report(requests=3).failed, Report(requests=3, usable=1).failed, Report().failed
        (True, False, False)
        """
        return self.requests > 0 and self.usable == 0

    @property
    def cause(self) -> str:
        """The first problem of a failed run, in one line."""
        first = str(self.problems[0]) if self.problems else "no reason is known"
        more = f" ({len(self.problems) - 1:,} more problems)" if self.problems[1:] else ""
        return f"{self.requests:,} requests received no usable response: {first}{more}"

    def __add__(self, other: Report) -> Report:
        known = {problem.exchange for problem in self.problems if isinstance(problem, ClockProblem)}
        kinds = (DamageProblem, LostFileProblem)  # a damaged file can be found by two steps
        damaged = {problem for problem in self.problems if isinstance(problem, kinds)}
        others = (problem for problem in other.problems if problem not in damaged)
        added = [p for p in others if not (isinstance(p, ClockProblem) and p.exchange in known)]
        parts = {part.name: getattr(self, part.name) + getattr(other, part.name) for part in fields(Report)}
        return Report(**parts | {"problems": (*self.problems, *added)})

    def __str__(self) -> str:
        lines = [f"{self.responses} responses kept, {self.rows} rows written, {self.quarantined} rows quarantined"]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join([*lines, *(f"problem: {problem}" for problem in self.problems)])


@dataclass(slots=True)
class Tally:
    """A report under construction."""

    responses: int = 0
    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    span: Window | None = None
    requests: int = 0
    usable: int = 0
    notes: tuple[str, ...] = ()

    def add(self, start: datetime | None, end: datetime | None) -> None:
        """Count one more stored response, with rows of this span."""
        self.responses += 1
        if start is not None and end is not None:
            self.span = (
                Window(min(start, self.span.start), max(end, self.span.end)) if self.span else Window(start, end)
            )

    def report(self) -> Report:
        spans = (self.span,) if self.span else ()
        return Report(
            responses=self.responses,
            files=tuple(self.files),
            problems=tuple(self.problems),
            spans=spans,
            notes=self.notes,
            requests=self.requests,
            usable=self.usable,
        )


def damage_reported(exchange: str, table: str, run: Callable[[], Report]) -> Report:
    """Run a step for one table; a damaged file, or rows that cannot be stored, are a problem: others are still read."""
    try:
        return run()
    except DamagedFileError as error:
        return Report(problems=(DamageProblem(exchange, table, None, None, str(error)),))
    except (SchemaError, DuplicateKeyError) as error:
        return Report(problems=(Problem(exchange, table, None, None, str(error)),))


def without_repeats(report: Report) -> Report:
    """Return a report in which no step says again that a Silver file is missing or damaged."""
    lost = [problem.message.partition(" ")[0] for problem in report.problems if isinstance(problem, LostFileProblem)]
    problems = (
        problem
        for problem in report.problems
        if not (isinstance(problem, DamageProblem) and any(path in problem.message for path in lost))
    )
    return replace(report, problems=tuple(problems))
