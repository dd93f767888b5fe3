"""What `import cexkit` promises: names that are there, sorted, documented, and nothing by accident."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import cexkit
from cexkit.analytics.catalog import METRICS


def test_all_is_sorted_and_without_doubles():
    assert sorted(set(cexkit.__all__)) == cexkit.__all__


@pytest.mark.parametrize("name", cexkit.__all__)
def test_every_name_is_there_and_documented(name):
    value = getattr(cexkit, name)
    doc = inspect.getdoc(value)
    assert doc, f"cexkit.{name} has no docstring"
    if inspect.isfunction(value) or name in METRICS:
        assert "Examples\n--------" in doc, f"cexkit.{name} shows no example"
        inspect.signature(value)


def test_dir_shows_every_name():
    assert set(cexkit.__all__) <= set(dir(cexkit))


def test_every_metric_is_public():
    assert set(METRICS) <= set(cexkit.__all__)


def test_a_metric_is_not_hidden_by_the_module_of_its_name():
    assert cexkit.basis is cexkit.analytics.basis.basis.basis


def test_no_module_has_the_name_of_a_public_function():
    modules = {module.name for module in pkgutil.iter_modules(cexkit.__path__)}
    assert not {name for name in modules & set(cexkit.__all__) if callable(getattr(cexkit, name))}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        _ = cexkit.conect


def test_star_import_brings_just_these():
    scope: dict[str, object] = {}
    exec("from cexkit import *", scope)
    assert set(scope) - {"__builtins__"} == set(cexkit.__all__)


@pytest.mark.parametrize("order", ["name first", "modules first"])
def test_names_of_modules_resolve_to_what_is_public(order):
    """Metrics, ``fetch``, and ``publish`` have the names of the modules that define them."""
    code = """
import importlib, pickle, cexkit
values = {name: getattr(cexkit, name) for name in cexkit.__all__}
for value in values.values():
    importlib.import_module(value.__module__ if hasattr(value, "__module__") else value.__name__)
for name, value in values.items():
    assert getattr(cexkit, name) is value and (callable(value) or name == "plotting"), name
    assert callable(value) is False or pickle.loads(pickle.dumps(value)) is value, name
"""
    if order == "modules first":
        names = [name for name in MODULES if not name.endswith("__main__")]
        code = f"import {', '.join(names)}\n" + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


MODULES = [
    module.name
    for module in pkgutil.walk_packages(cexkit.__path__, "cexkit.")
    if not any(part.startswith("_") for part in module.name.split(".")[1:])
]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_and_exports_what_it_has(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for exported in getattr(module, "__all__", ()):
        assert hasattr(module, exported), f"{name}.__all__ names {exported}, which is not there"


def test_importing_loads_no_library_prints_nothing_and_opens_no_connection():
    code = """
import socket, sys
def refuse(*args): raise AssertionError("a connection at import")
socket.socket.connect = refuse
before = set(sys.modules)
import cexkit
more = {name.partition(".")[0] for name in set(sys.modules) - before} - {"cexkit", *sys.stdlib_module_names}
assert not more, f"import cexkit imports {more}"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
