"""Files of archives are unpacked within a bound."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zipfile
import zlib

import pytest

from cexkit.errors import PayloadError
from cexkit.exchanges.archives import unzipped
from cexkit.exchanges.csv_rows import read_csv


def zipped(content: bytes, stated: int | None = None) -> bytes:
    """A zip of one file; ``stated`` replaces its size in the zip's own list."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("rows.csv", content)
    body = buffer.getvalue()
    return body if stated is None else body.replace(len(content).to_bytes(4, "little"), stated.to_bytes(4, "little"))


def bomb(size: int, stated: int) -> bytes:
    """A zip of one file of zeros, whose list states a size; made of one compressed block that repeats."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    data = block * (size >> 20) + b"\x03\x00"
    facts = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(data), stated, 1, 0)
    entry = b"PK\x03\x04" + facts + b"x" + data
    listed = b"PK\x01\x02" + struct.pack("<H", 20) + facts + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"x"
    return entry + listed + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(listed), len(entry), 0)


def test_file_within_the_bound_is_returned():
    assert unzipped("x", zipped(b"a" * 1_000), 1_000) == b"a" * 1_000


@pytest.mark.parametrize("stated", [None, 1_000], ids=["stated", "hidden"])
def test_file_beyond_the_bound_is_refused(stated):
    with pytest.raises(PayloadError, match=r"at most 999,999 bytes|not a zip that can be read"):
        unzipped("x", zipped(b"a" * 1_000_000, stated), 999_999)


def test_bound_is_a_setting(monkeypatch):
    monkeypatch.setenv("CEXKIT_MAX_UNPACKED_BYTES", "999")
    with pytest.raises(PayloadError, match=r"at most 999 bytes \(CEXKIT_MAX_UNPACKED_BYTES\)"):
        read_csv("x", zipped(b"a" * 1_000), ["a"])


@pytest.mark.parametrize("stated", [3 << 30, 1_000], ids=["stated", "hidden"])
def test_bomb_is_refused_without_its_memory(tmp_path, stated):
    path = tmp_path / "bomb.zip"
    path.write_bytes(bomb(3 << 30, stated))
    assert path.stat().st_size < 3_500_000
    code = (
        "import sys, resource\n"
        "from cexkit.errors import PayloadError\n"
        "from cexkit.exchanges.archives import unzipped\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    unzipped('x', open(sys.argv[1], 'rb').read())\nexcept PayloadError as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    message, peak = done.stdout.splitlines()
    assert "at most 256,000,000 bytes (CEXKIT_MAX_UNPACKED_BYTES)" in message or "not a zip that can be read" in message
    assert int(peak) < 600_000  # KiB
