"""Registration of ``.crypto`` on pandas and Polars frames, without importing either of them.

Frames of a library that is imported already get it at once, others at the end of that import. The accessor itself, and
the metrics, are imported when it is first used.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from itertools import dropwhile, islice
from types import ModuleType
from typing import Any

NAME = "crypto"
#: Library → its classes that get the accessor.
FRAMES = {"pandas": ("DataFrame",), "polars": ("DataFrame", "LazyFrame")}


class _Accessor:
    """Descriptor: of a frame, its accessor; of the class, the class of accessors, for help and completion."""

    def __get__(self, frame: Any, owner: type | None = None) -> Any:
        from cexkit.analytics.accessors import Crypto

        return Crypto if frame is None else Crypto(frame)


class _Finder:
    """Finder of the libraries in ``FRAMES``: leaves the search to those after it, and adds the accessor at the end."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in FRAMES:
            return None
        # Those before it have been asked already, and two finders that ask each other would not end.
        for finder in islice(dropwhile(lambda each: each is not self, sys.meta_path), 1, None):
            if spec := finder.find_spec(name, path, target):
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


class _Loader:
    """Loader that registers the accessor after the real loader; the module keeps only the real one."""

    def __init__(self, loader: Any):
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _register(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def register_accessor() -> None:
    """Register ``.crypto`` on frames of the libraries that are imported, and on the others once they are."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    # An import statement waits for another thread that is still importing the library. It fails if that one does, or if
    # ``sys.modules`` names the library to keep it out.
    if "pandas" in sys.modules:
        with suppress(ImportError):
            import pandas

            _register(pandas)
    if "polars" in sys.modules:
        with suppress(ImportError):
            import polars

            _register(polars)


def _register(module: ModuleType) -> None:
    # Whatever bears the name of a library, importing it must not fail because of an accessor.
    with suppress(Exception):
        for name in FRAMES[module.__name__]:
            frames = getattr(module, name)
            before = vars(frames).get(NAME)
            setattr(frames, NAME, _Accessor())
            if before is not None and not isinstance(before, _Accessor):
                warnings.warn(f"cexkit replaces .{NAME} on {module.__name__}.{name}", stacklevel=2)
