"""The tree of errors: drawn as it is, and every error whole wherever it is carried."""

from __future__ import annotations

import pickle
import re

import pytest

from cexkit import errors

TREE = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and kind.__module__ == errors.__name__
}


def test_the_drawn_tree_is_the_real_one():
    drawn, above = {}, []
    for line in errors.__doc__.splitlines():
        if found := re.match(r"    ([ │├└─]*)(\w+(?:Error|Warning))(?: \((\w+)\))?(?= |$)", line):
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            drawn[found[2]] = (above[depth - 1] if depth else None, found[3])
    real = {}
    for name, kind in TREE.items():
        ours = next((base.__name__ for base in kind.__bases__ if base.__name__ in TREE), None)
        builtin = next((base.__name__ for base in kind.__bases__ if base.__name__ not in TREE), None)
        real[name] = (ours, None if builtin == "Exception" else builtin)
    assert drawn == real


@pytest.mark.parametrize("kind", [kind for kind in TREE.values() if issubclass(kind, errors.CexkitError)])
def test_an_error_comes_whole_from_another_process(kind):
    error = kind("/klines", "cut off", row=3, field="open") if kind is errors.PayloadError else kind("what was wrong")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.__dict__) == (kind, str(error), error.__dict__)
