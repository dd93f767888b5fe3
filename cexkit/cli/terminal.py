"""Terminal output and the end of a command: whatever happens to it, a user reads a message, never a traceback."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from cexkit.errors import CexkitError, CexkitWarning
from cexkit.text import masked, printable

#: Exit code of a command that failed.
FAILED = 1


def say(line: object, *, err: bool = False) -> None:
    """Print a line; control characters that a venue, a hub, or a manifest put into it are escaped."""
    print(printable(str(line)), file=sys.stderr if err else sys.stdout)


def say_text(text: object, *, err: bool = False) -> None:
    """Print a text of several lines; other control characters are escaped."""
    print(printable(str(text), "\n"), file=sys.stderr if err else sys.stdout)


@contextmanager
def command_line(name: str) -> Iterator[None]:
    """Run a command, and end it with a message and exit code 1 if it fails.

    Parameters
    ----------
    name : str
        Name of the program, before each message.
    """
    for stream in (sys.stdout, sys.stderr):
        _make_lossless(stream)
    show = warnings.showwarning

    def show_plainly(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
        if issubclass(category, CexkitWarning):
            say_text(f"{name}: {message}", err=True)
        else:
            show(message, category, *place, **more)

    warnings.showwarning = show_plainly
    try:
        yield
    except SystemExit as end:
        _finish(name, end.code)
    except BaseException as error:
        if (text := _describe(error)) is None:
            raise
        _fail(name, text)
    else:
        _finish(name, 0)
    finally:
        warnings.showwarning = show


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Run a command too short to gain from collecting garbage, neither while it imports nor at its end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # the collection at the end of the process then has nothing to do
        gc.enable()


def _make_lossless(stream: TextIO | None) -> None:
    """Escape characters that the terminal's encoding lacks, instead of failing at the first of them."""
    with suppress(AttributeError, ValueError):  # no terminal, or one of a test
        stream.reconfigure(errors="backslashreplace")


def _describe(error: BaseException) -> str | None:
    """Return the message of an expected failure; None for any other exception."""
    duckdb = sys.modules.get("duckdb")  # only a command that reads has loaded it
    if isinstance(error, (CexkitError, duckdb.Error) if duckdb else CexkitError):
        return str(error)
    if isinstance(error, BrokenPipeError):
        return ""
    if isinstance(error, OSError):
        # what is written to files has their names in its errors
        return f"could not use {error.filename or 'standard output'}: {error.strerror or error}"
    if isinstance(error, RecursionError):
        return "the input must be nested less deeply"
    return None


def _finish(name: str, code: object) -> None:
    """Write what is buffered and exit, because an error in writing would otherwise go unnoticed."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _fail(name, "")
    except (OSError, ValueError) as error:
        _fail(name, f"could not use standard output: {getattr(error, 'strerror', None) or error}")
    sys.exit(code)


def _fail(name: str, text: str) -> None:
    """Print a message and exit; without a text, exit silently, because the reader of the output has gone."""
    with suppress(OSError, ValueError):
        if text:
            say_text(f"{name}: {masked(text)}", err=True)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            _discard(stream)
    sys.exit(FAILED)


def _discard(stream: TextIO) -> None:
    """Drop what is buffered, because Python would try to write it at its end, and fail again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
