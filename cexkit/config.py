"""Settings: the only reader of environment variables, all named ``CEXKIT_…``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cexkit.errors import ConfigError


class Settings(BaseSettings):
    """What can be set from outside.

    Examples
    --------
    >>> Settings(base_urls={"binance.um": "http://127.0.0.1:8000"}).base_urls["binance.um"]
    'http://127.0.0.1:8000'
    """

    model_config = SettingsConfigDict(env_prefix="CEXKIT_", extra="forbid", frozen=True)

    data: str | None = Field(None, description="Dataset that connect() opens; unset: the embedded sample.")
    warehouse: Path = Field(Path("warehouse"), description="Folder that `cexkit pull` and the pipeline write.")
    base_urls: dict[str, str] = Field(
        default_factory=dict,
        description='Other base URLs by API, as JSON: {"binance.um": "http://127.0.0.1:8000"}.',
    )
    pipeline_symbols: tuple[str, ...] = Field(
        (), description='Canonical symbols that the pipeline reads, as JSON: ["BTCUSDT"]; unset: all that are listed.'
    )
    alert_webhook: SecretStr | None = Field(
        None, description="Slack-compatible webhook that the pipeline tells of failures; a secret."
    )
    http_timeout_s: float = Field(30.0, gt=0, description="Seconds until a request counts as failed.")
    http_attempts: int = Field(6, ge=1, description="How often a request is tried in all.")


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
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "CEXKIT_" + "_".join(str(part) for part in first["loc"][:1]).upper()
        raise ConfigError(f"{name}: {first['msg']}") from None
