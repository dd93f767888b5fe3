"""A version of cexkit from before schema version 2 refuses data of version 2, and says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from cexkit.warehouse.store.locations import SAMPLE_ROOT

#: The last commit of schema version 1.
LAST_OF_SCHEMA_1 = "5445a2d0c856fdbfeec7992bfb3ecd3f35c93c59"

_READ = """
import sys
import cexkit
from cexkit.errors import NewerSchemaError
from cexkit.schema import SCHEMA_VERSION
from cexkit.warehouse.store.warehouse import Warehouse

assert SCHEMA_VERSION == 1 and sys.argv[2] in cexkit.__file__, cexkit.__file__
for read in (cexkit.connect, lambda root: Warehouse(root).manifest):
    try:
        read(sys.argv[1])
    except NewerSchemaError as error:
        print(error)
    else:
        sys.exit("read without an error")
"""


@pytest.fixture(scope="module")
def old_version(tmp_path_factory, project_root) -> Path:
    """The installed files of a wheel of the last commit of schema version 1."""
    if not (project_root / ".git").exists():
        pytest.skip("needs the git history, which a source distribution lacks")
    archive = subprocess.run(["git", "archive", LAST_OF_SCHEMA_1], cwd=project_root, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"needs the full git history: {archive.stderr.decode(errors='replace').strip()}")
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder / "source", filter="data")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=folder / "source", check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        files.extractall(folder / "installed")
    return folder / "installed"


def test_old_version_refuses_newer_data(old_version):
    words = [sys.executable, "-c", _READ, str(SAMPLE_ROOT), str(old_version)]
    environment = os.environ | {"PYTHONPATH": str(old_version)}
    done = subprocess.run(
        words, cwd=old_version, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "upgrade" in first
    assert "upgrade" in second
