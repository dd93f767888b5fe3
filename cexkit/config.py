"""Settings: the only reader of environment variables, all named ``CEXKIT_…``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from cexkit.errors import ConfigError


def _none_in_words(value: object) -> object:
    """Return None for the text ``none``, because an empty variable counts as not set."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


class Settings(BaseSettings):
    """What can be set from outside. A variable that is empty counts as not set.

    Examples
    --------
    >>> Settings(base_urls={"binance.um": "http://127.0.0.1:8000"}).base_urls["binance.um"]
    'http://127.0.0.1:8000'
    """

    model_config = SettingsConfigDict(env_prefix="CEXKIT_", env_ignore_empty=True, extra="forbid", frozen=True)

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
    alert_webhook: SecretStr | None = Field(
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
    s3_access_key_id: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("CEXKIT_S3_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
        description="Key of s3://; AWS_ACCESS_KEY_ID means the same; a secret.",
    )
    s3_secret_access_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("CEXKIT_S3_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
        description="Second half of the key of s3://; a secret.",
    )
    s3_session_token: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("CEXKIT_S3_SESSION_TOKEN", "AWS_SESSION_TOKEN"),
        description="Token that goes with a temporary key of s3://; a secret.",
    )
    http_timeout_seconds: float = Field(30.0, gt=0, description="Seconds until a request counts as failed.")
    http_attempts: int = Field(6, ge=1, description="How often a request is tried in all.")
    max_clock_skew_seconds: Annotated[float | None, BeforeValidator(_none_in_words)] = Field(
        300.0,
        ge=0,
        description="Largest difference between a venue's clock and this machine's, in seconds; beyond it, nothing "
        "read is final. none: the venue's clock counts alone.",
    )


@lru_cache
def settings() -> Settings:
    """The settings as the environment gives them, read once per process.

    Raises
    ------
    ConfigError
        If a variable has a value that cannot be used.
    """
    try:
        return Settings()
    except SettingsError as error:
        # its text names the field, and its cause says what is wrong
        name = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "…")
        raise ConfigError(f"CEXKIT_{name.upper()}: not JSON: {error.__cause__}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "CEXKIT_" + str(first["loc"][0]).upper().removeprefix("CEXKIT_")
        raise ConfigError(f"{name}: {first['msg']}") from None
