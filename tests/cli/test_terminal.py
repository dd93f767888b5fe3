"""Commands on full disks, ASCII terminals, and closed pipes end with a message, never with a traceback."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import warnings
from contextlib import suppress
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TextIO

import pytest

from cexkit.cli.commands import main
from cexkit.cli.terminal import command_line
from cexkit.errors import CexkitWarning, DatasetError, warn
from cexkit.warehouse.store.parquet import write_atomic

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.is_char_device(), reason="no /dev/full on this system")
ESCAPE = "select chr(27) || '[2J' || chr(155) || chr(233) as name"


def start(*words: str, stdout=subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess:
    """Run a command in a separate process."""
    words = (sys.executable, "-m", "cexkit.cli", *words)
    variables = {**os.environ, "PYTHONUNBUFFERED": "", **environment}
    return subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, env=variables, timeout=120, check=False)


@pytest.fixture
def run(monkeypatch):
    """Run a command here, on terminals of an encoding: ``run("tables") -> code, output, errors``."""

    def run(*words: str, encoding: str = "utf-8", stdout: TextIO | None = None) -> tuple[object, bytes, bytes]:
        streams = stdout or TextIOWrapper(BytesIO(), encoding), TextIOWrapper(BytesIO(), encoding)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["cexkit", *words])
            for name, stream in zip(("stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, name, stream)
            with pytest.raises(SystemExit) as end:
                main()
            streams[1].flush()
        return end.value.code, b"" if stdout else streams[0].buffer.getvalue(), streams[1].buffer.getvalue()

    return run


@needs_full
@pytest.mark.parametrize("words", [("tables",), ("sql", "select 1 as a", "--json"), ("--help",)])
def test_full_standard_output_is_named(run, words):
    with suppress(OSError), FULL.open("w") as full:
        code, _, told = run(*words, stdout=full)
    assert (code, told) == (1, b"cexkit: could not use standard output: No space left on device\n")


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_process_with_full_standard_output_exits_with_1(unbuffered):
    with FULL.open("wb") as full:
        done = start("cache", "info", stdout=full, PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (1, b"cexkit: could not use standard output: No space left on device\n")


@needs_full
def test_device_is_not_replaced_by_a_file(run, tmp_path):
    """Moving a file into place would remove the device for every program, if the user may."""
    link = tmp_path / "rows.csv"
    link.symlink_to(FULL)
    for path in (FULL, link, tmp_path):
        with pytest.raises(DatasetError, match=f"could not write to {path}: it must be a file"):
            write_atomic(path, lambda temporary: temporary.write_text("rows"))
    code, _, told = run("tables", "--output", str(link))
    assert (code, str(link) in told.decode()) == (1, True)
    assert stat.S_ISCHR(FULL.stat().st_mode)


def test_reader_that_leaves_ends_a_command_quietly():
    words = [sys.executable, "-m", "cexkit.cli", "sql", "select * from range(300000)", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) in (0, 1)


def test_ascii_terminal_shows_other_characters_escaped(run, tmp_path):
    _, shown, _ = run("sql", ESCAPE, encoding="ascii")
    assert shown.split() == [b"name", rb"\x1b[2J\x9b\xe9"]
    code, _, told = run("tables", "--data", str(tmp_path / "nö"), encoding="ascii")
    assert (code, told.startswith(b"cexkit: no dataset at "), rb"n\xf6" in told) == (1, True, True)


def test_process_of_the_c_locale_shows_other_characters_escaped(tmp_path):
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = start("tables", "--data", str(tmp_path / "nö"), **locale)
    assert (done.returncode, done.stderr.startswith(b"cexkit: no dataset at "), done.stderr.isascii()) == (
        1,
        True,
        True,
    )


def test_control_characters_of_a_dataset_do_not_reach_a_terminal(run):
    _, shown, _ = run("sql", ESCAPE)
    assert r"\x1b[2J\x9bé".encode() in shown
    _, as_json, _ = run("sql", ESCAPE, "--json")
    assert json.loads(as_json) == {"name": "\x1b[2J\x9bé"}
    assert as_json.decode().strip().isprintable()


def test_unknown_variable_is_told_in_one_line():
    done = start("cache", "info", CEXKIT_DATTA="x")
    told = b"cexkit: CEXKIT_DATTA is not a setting of cexkit and has no effect; did you mean CEXKIT_DATA?\n"
    assert (done.returncode, done.stderr) == (0, told)


def test_warnings_and_failures_end_as_lines(capsys):
    def fail() -> None:
        warn("odd\x1b", CexkitWarning)
        raise OSError(28, "No space left on device", "/data/x\x07")

    with warnings.catch_warnings(action="always"), pytest.raises(SystemExit) as end, command_line("cexkit"):
        fail()
    assert end.value.code == 1
    lines = ["cexkit: odd\\x1b", "cexkit: could not use /data/x\\x07: No space left on device"]
    assert capsys.readouterr().err.splitlines() == lines


def test_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), command_line("cexkit"):
        1 / 0  # noqa: B018
