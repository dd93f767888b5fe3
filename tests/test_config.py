"""Settings: what an environment may say, and what is said of one that cannot be meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cexkit.config import Settings, settings, unknown_variables, variables
from cexkit.errors import ConfigError, UnknownSettingWarning


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CEXKIT_HTTP_TIMEOUT_SECONDS", "0", "^CEXKIT_HTTP_TIMEOUT_SECONDS: Input should be greater than 0"),
        ("CEXKIT_BASE_URLS", "binance.um=http://127.0.0.1", "^CEXKIT_BASE_URLS: not JSON: Expecting value"),
        ("CEXKIT_BASE_URLS", '{"binance.um": 1}', "^CEXKIT_BASE_URLS: "),
        ("CEXKIT_PIPELINE_SYMBOLS", "BTCUSDT", "^CEXKIT_PIPELINE_SYMBOLS: not JSON: Expecting value"),
        ("CEXKIT_MAX_CLOCK_SKEW_SECONDS", "-1", "^CEXKIT_MAX_CLOCK_SKEW_SECONDS: Input should be greater"),
        ("CEXKIT_MAX_CLOCK_SKEW_SECONDS", "never", "^CEXKIT_MAX_CLOCK_SKEW_SECONDS: "),
        # without its scheme it would be read as none, and keys and requests would go to Amazon
        ("CEXKIT_S3_ENDPOINT_URL", "127.0.0.1:9000", "^CEXKIT_S3_ENDPOINT_URL: "),
        ("AWS_ENDPOINT_URL", "minio:9000", "^CEXKIT_S3_ENDPOINT_URL: "),
    ],
)
def test_a_value_that_cannot_be_used_is_an_error_that_names_its_variable(monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=says):
        settings()


def test_error_names_the_other_variable_that_was_read(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    with pytest.raises(ConfigError, match=r"\(read from AWS_ENDPOINT_URL\)"):
        settings()


@pytest.mark.parametrize("depth", [500, 100_000])
def test_deeply_nested_json_is_an_error_that_names_its_variable(monkeypatch, depth):
    monkeypatch.setenv("CEXKIT_BASE_URLS", '{"a":' * depth + "1" + "}" * depth)
    with pytest.raises(ConfigError, match=r"^CEXKIT_BASE_URLS: "):
        settings()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("CEXKIT_WAREHOSE", "did you mean CEXKIT_WAREHOUSE?"),
        ("CEXKIT_PUBLISH_LICENCE", "did you mean CEXKIT_PUBLISH_LICENSE?"),
        ("CEXKIT_HTTP_TIMEOUT_S", "did you mean CEXKIT_HTTP_TIMEOUT_SECONDS?"),
        ("CEXKIT_S3_ENDPOINT", "did you mean CEXKIT_S3_ENDPOINT_URL?"),
        ("CEXKIT_ZZZ", "see the page of settings, or unset it"),
    ],
)
def test_unknown_variable_is_warned_of_once(monkeypatch, name, hint):
    monkeypatch.setenv(name, "hunter2")
    with pytest.warns(UnknownSettingWarning, match=f"^{name} is not a setting .*{re.escape(hint)}$") as told:
        settings()
    settings()
    assert len(told) == 1
    assert "hunter2" not in str(told[0].message)
    assert unknown_variables() == [str(told[0].message)]


def test_known_variables_are_not_warned_of_in_any_spelling(monkeypatch):
    for field in Settings.model_fields:
        for name in variables(field):
            monkeypatch.setenv(name.lower() if field == "quiet" else name, "")
    monkeypatch.setenv("CEXKIT_SHARED", "/recordings")
    assert unknown_variables() == []


def test_an_error_does_not_repeat_the_value(monkeypatch):
    monkeypatch.setenv("CEXKIT_BASE_URLS", "hunter2")
    with pytest.raises(ConfigError) as error:
        settings()
    assert "hunter2" not in str(error.value)


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.delenv("CEXKIT_CACHE_DIR")
    unset = Settings()
    for name in (
        "DATA",
        "WAREHOUSE",
        "CACHE_DIR",
        "HTTP_TIMEOUT_SECONDS",
        "BASE_URLS",
        "ALERT_WEBHOOK",
        "S3_ACCESS_KEY_ID",
    ):
        monkeypatch.setenv(f"CEXKIT_{name}", "")
    assert settings() == unset
    assert settings().cache_dir == Path.home() / ".cache" / "cexkit"


@pytest.mark.parametrize(("value", "seconds"), [("none", None), ("None", None), ("7.5", 7.5), ("", 300.0)])
def test_clock_skew_may_be_unbounded(monkeypatch, value, seconds):
    monkeypatch.setenv("CEXKIT_MAX_CLOCK_SKEW_SECONDS", value)
    assert settings().max_clock_skew_seconds == seconds


def test_secrets_are_in_no_repr(monkeypatch):
    for name in ("ALERT_WEBHOOK", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "S3_SESSION_TOKEN"):
        monkeypatch.setenv(f"CEXKIT_{name}", "hunter2")
    assert "hunter2" not in repr(settings())
