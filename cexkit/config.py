"""Settings, named ``CEXKIT_…``, and the only reader of environment variables."""

from __future__ import annotations

import difflib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from cexkit.errors import ConfigError, UnknownSettingWarning, warn

PREFIX = "CEXKIT_"
#: Read by the project's own tests and benchmarks.
_OF_TESTS = {"CEXKIT_SHARED", "CEXKIT_BENCHMARK_ROWS"}


def _none_in_words(value: object) -> object:
    """Return None for the text ``none``, because an empty variable counts as not set."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


def _require_sendable(secret: SecretStr) -> SecretStr:
    """Raise ValueError if a secret has characters that no header or URL can carry; most were copied with it."""
    if not is_sendable(secret.get_secret_value()):
        raise ValueError("must hold only printable ASCII characters; copy the secret again")
    return secret


def is_sendable(secret: str) -> bool:
    """Return whether a token or key can be sent: all of it is printable ASCII.

    Examples
    --------
    >>> is_sendable("hf_abc"), is_sendable("hf_äbc"), is_sendable("hf_abc" + chr(10))
    (True, False, False)
    """
    return secret.isascii() and secret.isprintable()


Secret = Annotated[SecretStr, AfterValidator(_require_sendable)]


class Settings(BaseSettings):
    """What can be set from outside. A variable that is empty counts as not set.

    Examples
    --------
    >>> Settings(base_urls={"binance.um": "http://127.0.0.1:8000"}).base_urls["binance.um"]
    'http://127.0.0.1:8000'
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    data: str | None = Field(None, description="Dataset that connect() opens; unset: the embedded sample.")
    quiet: bool = Field(False, description="Leave out the line that a notebook or terminal is told on first use.")
    warehouse: Path = Field(Path("warehouse"), description="Folder that `cexkit pull` and the pipeline write.")
    publish_to: str | None = Field(
        None, description="Where the dataset is published: hf://datasets/owner/name[@branch] or a folder."
    )
    publish_license: str | None = Field(
        None,
        description="License of the published data by its name on HuggingFace; unset: mit if simulated, else other.",
    )
    base_urls: dict[str, str] = Field(
        default_factory=dict,
        description='Other base URLs by API, as JSON: {"binance.um": "http://127.0.0.1:8000"}.',
    )
    pipeline_symbols: tuple[str, ...] = Field(
        (), description='Canonical symbols that the pipeline reads, as JSON: ["BTCUSDT"]; unset: all that are listed.'
    )
    pipeline_running: bool = Field(
        False,
        description="Whether schedules and automation start with Dagster's daemon; else they are started in its pages.",
    )
    alert_webhook: Secret | None = Field(
        None, description="Slack-compatible webhook that the pipeline tells of failures; a secret."
    )
    cache_dir: Path = Field(
        default_factory=lambda: Path.home() / ".cache" / "cexkit",
        description="Folder of files read from remote datasets; may be moved while nothing reads.",
    )
    cache_max_bytes: int = Field(
        20_000_000_000, ge=0, description="Size of that folder above which files not used for longest are dropped."
    )
    big_table_bytes: int = Field(
        256_000_000,
        ge=0,
        description="A remote table larger than this is read in place, not through the cache, and never whole unasked.",
    )
    s3_endpoint_url: str | None = Field(
        None,
        pattern="^https?://[^/]",
        validation_alias=AliasChoices("CEXKIT_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        description="Where s3:// is, if not at Amazon; AWS_ENDPOINT_URL means the same.",
    )
    s3_region: str | None = Field(
        None,
        validation_alias=AliasChoices("CEXKIT_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"),
        description="Region of s3://; AWS_REGION means the same.",
    )
    s3_access_key_id: Secret | None = Field(
        None,
        validation_alias=AliasChoices("CEXKIT_S3_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
        description="Key of s3://; AWS_ACCESS_KEY_ID means the same; a secret.",
    )
    s3_secret_access_key: Secret | None = Field(
        None,
        validation_alias=AliasChoices("CEXKIT_S3_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
        description="Second half of the key of s3://; a secret.",
    )
    s3_session_token: Secret | None = Field(
        None,
        validation_alias=AliasChoices("CEXKIT_S3_SESSION_TOKEN", "AWS_SESSION_TOKEN"),
        description="Token that goes with a temporary key of s3://; a secret.",
    )
    concurrent_requests: int = Field(
        32, ge=1, le=256, description="Most requests at once to read a table of a venue; its limits hold anyway."
    )
    http_timeout_seconds: float = Field(30.0, gt=0, description="Seconds until a request counts as failed.")
    http_attempts: int = Field(6, ge=1, description="How often a request is tried in all.")
    max_response_bytes: int = Field(
        64_000_000,
        ge=1,
        description="Most bytes of a response, decompressed; files that a manifest names may have the size it states.",
    )
    max_request_seconds: float = Field(
        600.0,
        gt=0,
        description="Seconds that a whole response may take, however steadily it arrives. Files that a manifest names "
        "may take longer, by their size over min_bytes_per_second.",
    )
    min_bytes_per_second: float = Field(
        20_000.0, gt=0, description="Lowest mean speed at which a file that a manifest names may arrive."
    )
    max_unpacked_bytes: int = Field(
        256_000_000, ge=1, description="Most bytes of a file of a venue's archive once it is unpacked."
    )
    sql_memory_bytes: int = Field(
        4_000_000_000,
        ge=50_000_000,
        description="Most memory of the queries of a connection; never above 80% of the machine's.",
    )
    sql_threads: int | None = Field(
        None, ge=1, description="Most threads of a query; unset: one per core, and 8 if files are read in place."
    )
    sql_temp_bytes: int = Field(
        20_000_000_000,
        ge=0,
        description="Most temporary space on disk of the queries of a connection, used when memory is short.",
    )
    sql_seconds: float = Field(1_800.0, gt=0, le=1e9, description="Seconds after which a query is stopped.")
    max_clock_skew_seconds: Annotated[float | None, BeforeValidator(_none_in_words)] = Field(
        300.0,
        ge=0,
        description="Largest difference between a venue's clock and this machine's, in seconds; beyond it, nothing "
        "read is final. none: the venue's clock counts alone.",
    )


def variables(name: str) -> list[str]:
    """Return the environment variables that a setting is read from; the first that is set counts.

    Examples
    --------
    >>> variables("s3_region")
    ['CEXKIT_S3_REGION', 'AWS_REGION', 'AWS_DEFAULT_REGION']
    """
    alias = Settings.model_fields[name].validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [PREFIX + name.upper()]


def environment() -> dict[str, str]:
    """Return the environment variables of this process, for the modules that read others than settings."""
    return dict(os.environ)


def unknown_variables() -> list[str]:
    """Return a line for each variable ``CEXKIT_…`` that is not a setting, with the setting it resembles."""
    known = {name for field in Settings.model_fields for name in variables(field)} | _OF_TESTS
    set_ones = sorted(name for name in os.environ if name.upper().startswith(PREFIX))
    return [_describe_unknown(name, known) for name in set_ones if name.upper() not in known]


def _describe_unknown(name: str, known: set[str]) -> str:
    # Compared without the prefix, which would make all of them alike.
    endings = {each.removeprefix(PREFIX): each for each in known if each.startswith(PREFIX)}
    close = difflib.get_close_matches(name.upper().removeprefix(PREFIX), endings, n=1)
    hint = f"did you mean {endings[close[0]]}?" if close else "see the page of settings, or unset it"
    return f"{name} is not a setting of cexkit and has no effect; {hint}"


@lru_cache
def settings() -> Settings:
    """Return the settings as the environment states them, read once per process.

    Warns once of variables ``CEXKIT_…`` that are not settings.

    Raises
    ------
    ConfigError
        If a variable has a value that cannot be used.
    """
    for line in unknown_variables():
        warn(line, UnknownSettingWarning)
    try:
        return Settings()
    except SettingsError as error:
        # its text names the field, and its cause says what is wrong
        name = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "…")
        raise ConfigError(f"{PREFIX}{name.upper()}: not JSON: {error.__cause__}") from None
    except RecursionError:
        name = next(name for name in ("base_urls", "pipeline_symbols") if _is_too_deep(variables(name)[0]))
        raise ConfigError(f"{variables(name)[0]}: not JSON: nested too deeply") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ConfigError(_describe_invalid(str(first["loc"][0]), first["msg"])) from None


def _is_too_deep(variable: str) -> bool:
    try:
        json.loads(os.environ.get(variable, "null"))
    except RecursionError:
        return True
    except ValueError:
        return False
    return False


def _describe_invalid(place: str, problem: str) -> str:
    """Return the text of an invalid value; ``place`` is the variable or the field, as pydantic names it."""
    field = next((name for name in Settings.model_fields if place in (name, *variables(name))), place)
    names = variables(field) if field in Settings.model_fields else [PREFIX + field.upper()]
    read = next((name for name in names if os.environ.get(name)), names[0])
    origin = "" if read == names[0] else f" (read from {read})"
    return f"{names[0]}: {problem.removeprefix('Value error, ')}{origin}"
