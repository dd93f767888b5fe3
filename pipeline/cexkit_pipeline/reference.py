"""Write the generated pages: ``python -m cexkit_pipeline.reference`` from the project's root."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic.fields import FieldInfo

from cexkit.config import Settings

#: Read by others than cexkit, but needed to run it: name → what it is.
OTHERS = {
    "HF_TOKEN": "Token that huggingface_hub publishes with; a secret.",
    "DAGSTER_HOME": "Folder with Dagster's `dagster.yaml`; set in the containers.",
    "DAGSTER_POSTGRES_PASSWORD": "Password of Dagster's Postgres; a secret.",
}

_PAGE = """\
<!-- Generated from cexkit/config.py by `python -m cexkit_pipeline.reference`; do not edit. -->
# Settings

Everything that can be set from outside, by environment variables. cexkit reads no file of settings; containers get
theirs from `.env`, for which `.env.example` in the project's root is the pattern, and secrets from the folder
`secrets/`. A value that cannot be used is an error that names the variable and does not show the value, an empty one
counts as not set. Lists and mappings are JSON.

| variable | default | what it is |
|---|---|---|
"""

_EXAMPLE = """\
# Settings of a deployment: copy to .env, and fill in what is needed. Secrets are files in secrets/, named after their
# variables.
# Generated from cexkit/config.py by `python -m cexkit_pipeline.reference`; commented lines show the defaults.
"""


def names(name: str, field: FieldInfo) -> list[str]:
    """The variables that a setting is read from, the first that is set holds.

    Examples
    --------
    >>> names("http_attempts", Settings.model_fields["http_attempts"])
    ['CEXKIT_HTTP_ATTEMPTS']
    """
    alias = field.validation_alias
    choices = getattr(alias, "choices", [alias] if alias else [])
    return [str(choice) for choice in choices] or [f"{Settings.model_config['env_prefix']}{name.upper()}"]


def default(field: FieldInfo) -> str:
    """The default as it would stand in the environment; empty where there is none."""
    value = field.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, Path):
        return f"~/{value.relative_to(Path.home())}" if value.is_relative_to(Path.home()) else str(value)
    return value if isinstance(value, str) else json.dumps(value)


def settings_page() -> str:
    """The page of all variables.

    Examples
    --------
    >>> "| `CEXKIT_HTTP_ATTEMPTS` | `6` | How often a request is tried in all. |" in settings_page()
    True
    """
    rows = [
        f"| {', '.join(f'`{one}`' for one in names(name, field))} | {_code(default(field))} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    ]
    others = [f"| `{name}` | | {meaning} |\n" for name, meaning in OTHERS.items()]
    table = "\nOthers read these:\n\n| variable | | what it is |\n|---|---|---|\n"
    return _PAGE + "".join(rows) + table + "".join(others)


def env_example() -> str:
    """An env file with every variable but secrets, as a comment with its default."""
    lines = [_EXAMPLE]
    for name, field in Settings.model_fields.items():
        if field.description.endswith("a secret."):
            continue
        # nothing expands ~ in an env file
        value = "" if default(field).startswith("~") else default(field)
        lines.append(f"\n# {field.description}\n# {names(name, field)[0]}={value}\n")
    lines += [f"\n# {meaning}\n# {name}=\n" for name, meaning in OTHERS.items() if not meaning.endswith("a secret.")]
    return "".join(lines)


def generated() -> dict[str, str]:
    """Path below the project's root → text, for every file made from the settings."""
    return {"docs/reference/settings.md": settings_page(), ".env.example": env_example()}


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    for path, text in generated().items():
        Path(path).write_text(text, encoding="utf-8")
