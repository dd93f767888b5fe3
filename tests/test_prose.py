"""Prose of the project: phrases of the glossary in docstrings, comments, messages, and pages.

``codespell`` checks spelling (see ``pyproject.toml``). Files in ``prose/unedited.txt`` are not edited yet and are not
checked; a file that is clean must leave the list.
"""

from __future__ import annotations

import io
import json
import re
import tokenize
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent / "prose"

GLOSSARY = tomllib.loads((HERE / "glossary.toml").read_text(encoding="utf-8"))["phrases"]
UNEDITED = (HERE / "unedited.txt").read_text(encoding="utf-8").split()
FOLDERS = ("cexkit", "docs", "notebooks", "pipeline", "specs", "sql", "tests")
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")))
    if path.suffix in (".py", ".md", ".ipynb", ".sql", ".html") and not {"_sample", "site"} & set(path.parts)
)


#: From Python 3.12 on, the text of an f-string is a token of its own.
_STRINGS = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def _python_prose(source: str) -> list[str]:
    """Return the comments and the strings with more than one word of a Python source, without code inside them.

    Comments on consecutive lines, and strings that Python concatenates, are one passage each.
    """
    texts, before = [], None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            continue
        text = None
        if token.type == tokenize.COMMENT:
            text = token.string.lstrip("#: ")
        elif token.type in _STRINGS:
            code = re.sub(r"^ *(>>>|\.\.\.) .*$", "", token.string, flags=re.MULTILINE)
            text = re.sub(r"^[A-Za-z]{0,2}[\"']+|[\"']+$", "", code)
        follows = before is not None and before.type == token.type and token.start[0] - before.end[0] <= 1
        if text is not None and texts and follows:
            texts[-1] += text if token.type in _STRINGS else f" {text}"
        elif text is not None:
            texts.append(text)
        before = token
    return [text for text in texts if " " in text]


def prose(name: str, source: str) -> list[str]:
    """Return the passages of a file that people read."""
    if name.endswith(".py"):
        passages = _python_prose(source)
    elif name.endswith(".ipynb"):
        cells = json.loads(source)["cells"]
        passages = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    elif name.endswith(".sql"):
        passages = [" ".join(re.findall(r"--(.*)$", block, flags=re.MULTILINE)) for block in source.split("\n\n")]
    elif name.endswith(".html"):
        passages = re.split(
            r"</(?:p|li|h\d|td|th|dt|dd|div)>", re.sub(r"\{[{%].*?[%}]\}", " ", source, flags=re.DOTALL)
        )
        passages = [re.sub(r"<[^>]*>", "", passage) for passage in passages]
    else:
        passages = re.split(r"\n\s*\n", re.sub(r"^ *(```|~~~).*?^ *\1`*$", "", source, flags=re.MULTILINE | re.DOTALL))
    return [re.sub(r"`[^`]*`", "`…`", passage) for passage in passages]


def _whole_words(phrase: str) -> str:
    """Return a pattern that finds a phrase, but not inside a word."""
    before, after = ("" if phrase.startswith(",") else r"(?<!\w)"), ("" if phrase.endswith(":") else r"(?!\w)")
    return f"{before}(?:{phrase}){after}"


def findings(passages: list[str]) -> list[str]:
    """Return each phrase of the glossary found in the passages, with its replacement."""
    found = []
    for passage in passages:
        text = " ".join(passage.split())
        for entry in GLOSSARY:
            correct = [use.span() for way in entry.get("except", ()) for use in re.finditer(way, text, re.IGNORECASE)]
            for match in re.finditer(_whole_words(entry["phrase"]), text, re.IGNORECASE):
                if not any(start <= match.start() and match.end() <= end for start, end in correct):
                    found.append(f"{match[0]!r}: write {entry['write']}: …{text[max(0, match.start() - 40) :][:110]}…")
    return found


@pytest.mark.parametrize("name", [name for name in FILES if name not in UNEDITED])
def test_prose_has_no_phrase_of_the_glossary(name):
    found = findings(prose(name, (ROOT / name).read_text(encoding="utf-8")))
    assert not found, "\n".join([name, *found])


def test_unedited_files_exist_and_need_editing():
    clean = [
        name
        for name in UNEDITED
        if name not in FILES or not findings(prose(name, (ROOT / name).read_text(encoding="utf-8")))
    ]
    assert not clean, f"remove from tests/prose/unedited.txt: {', '.join(clean)}"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("x.py", '"""The rows that\nare there."""'),
        ("x.py", "limit = 1  # the newest so many bars"),
        ("x.py", 'raise ValueError(f"{name} is no number")'),
        ("x.md", "Tables of HuggingFace."),
        ("x.ipynb", '{"cells": [{"cell_type": "markdown", "source": ["Venues beside ", "each other"]}]}'),
        ("x.sql", "SELECT 1;\n-- one row\n-- a day"),
        ("x.py", "# a dataset that is\n# not there"),
        ("x.py", 'raise ValueError("it was " "cut off")'),
        ("x.py", '"""As for :meth:`ohlcv`."""'),
        ("x.md", "Reads the listings, for without them no name is valid."),
        ("x.html", "<p>one file that <b>needs</b> no network</p>"),
    ],
)
def test_bad_sentence_is_found(name, source):
    assert len(findings(prose(name, source))) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("x.py", 'answer = held["beside"]'),
        ("x.py", '"""Return rows.\n\n>>> answers  # as received\n"""'),
        ("x.md", "The venue is no longer listed; see `answers`.\n\n```python\nanswers = 1\n```"),
        ("x.ipynb", '{"cells": [{"cell_type": "code", "source": ["answers = 1"]}]}'),
    ],
)
def test_code_and_correct_use_are_no_findings(name, source):
    assert findings(prose(name, source)) == []
