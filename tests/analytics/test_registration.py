"""``.crypto`` is on the frames of a library, whichever of it and cexkit is imported first."""

from __future__ import annotations

import subprocess
import sys

import pytest

USE = """
metrics = {"funding_apr", "basis_bps"}
for frames in [pandas.DataFrame] if "pandas" in globals() else [polars.DataFrame, polars.LazyFrame]:
    assert metrics <= {*dir(frames.crypto)}, "completion on the class"
    assert frames.crypto.funding_apr.__doc__
    assert "crypto" in dir(frames())
    frame = frames({"price": [101.0], "reference": [100.0]})
    column = frame.crypto.basis_bps()
    assert (column.collect()["basis_bps"] if hasattr(column, "collect") else column).to_list() == [100.0]
print("works")
"""


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def works(code: str) -> None:
    done = run(code)
    assert (done.stdout, done.stderr) == ("works\n", "")


ORDERS = {
    "cexkit first": "import cexkit\nimport {}",
    "library first": "import {}\nimport cexkit",
    "between the other library": "import {other}\nimport cexkit\nimport {}",
    "part of cexkit": "from cexkit.errors import CexkitError\nimport {}",
    "part of the library": "import cexkit\nfrom {} import DataFrame\nimport {}",
    "accessors first": "import cexkit.analytics.accessors\nimport {}",
    "cexkit again": "import cexkit, importlib\nimport {}\nimportlib.reload(cexkit)",
    "library again": "import cexkit, importlib\nimport {}\nimportlib.reload({})",
    "imported while it is looked for": "import cexkit, importlib.util\nimportlib.util.find_spec('{}')\nimport {}",
    "in a thread": "import cexkit, threading\n"
    "threads = [threading.Thread(target=exec, args=(f'import {{each}}',)) for each in ('{}', '{other}') * 4]\n"
    "for each in threads: each.start()\nfor each in threads: each.join()\nimport {}",
    "cexkit in a thread": "import threading\n"
    "threads = [threading.Thread(target=exec, args=(f'import {{each}}',)) for each in ('cexkit', '{}') * 4]\n"
    "for each in threads: each.start()\nfor each in threads: each.join()\nimport {}",
    "in another process": "import cexkit, multiprocessing\ncontext = multiprocessing.get_context('fork')\n"
    "def child():\n    import {}\n    assert {}.DataFrame.crypto.funding_apr\n"
    "process = context.Process(target=child)\nprocess.start(); process.join()\nassert process.exitcode == 0\nimport {}",
}


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("order", ORDERS)
def test_accessor_is_registered_in_any_order_of_imports(library, order):
    other = {"pandas": "polars", "polars": "pandas"}[library]
    works(ORDERS[order].replace("{other}", other).replace("{}", library).replace("{{each}}", "{each}") + USE)


def test_import_of_a_library_leaves_no_trace_of_the_hook():
    works(
        "import cexkit, pandas\n"
        "from importlib.machinery import SourceFileLoader\n"
        "assert type(pandas.__loader__) is type(pandas.__spec__.loader) is SourceFileLoader\n"
        "assert not {'narwhals', 'polars', 'cexkit.analytics.accessors'} & {*__import__('sys').modules}\nprint('works')"
    )


def test_library_without_frames_is_imported_all_the_same(tmp_path):
    (tmp_path / "pandas.py").write_text("version = 1")
    (tmp_path / "polars").mkdir()  # a namespace package, which has no loader
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    works(path + "import cexkit, pandas\nassert pandas.version == 1\nprint('works')")
    works(path + "sys.path[1:] = [each for each in sys.path if 'site-packages' not in each]\n"
        "import cexkit, polars\nassert polars.__path__\nprint('works')")  # fmt: skip


def test_library_that_is_kept_out_stays_out():
    works("import sys; sys.modules['pandas'] = sys.modules['polars'] = None\nimport cexkit\nprint('works')")


def test_error_of_a_library_is_its_own(tmp_path):
    (tmp_path / "pandas.py").write_text("raise RuntimeError('broken')")
    done = run(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport cexkit, pandas")
    assert done.stderr.splitlines()[-1] == "RuntimeError: broken"
    done = run("import cexkit, sys\nsys.meta_path[1:] = []\nimport polars")
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'polars'"


def test_accessor_of_another_library_is_replaced_with_a_warning():
    code = "import pandas\npandas.DataFrame.crypto = 1\nimport cexkit\nassert pandas.DataFrame.crypto.funding_apr"
    done = run(code)
    assert done.returncode == 0
    assert "cexkit replaces .crypto on pandas.DataFrame" in done.stderr
