"""Alerts: failed runs and stale data, to the log and to a Slack-compatible webhook where one is set."""

# no `from __future__ import annotations`: Dagster reads the annotations of sensors
import json
import logging
from datetime import UTC, datetime
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import dagster as dg
from pydantic import SecretStr

from cexkit.config import settings
from cexkit.quality import stale
from cexkit_pipeline.resources import Store

TIMEOUT_S = 10.0

_log = logging.getLogger("cexkit.alerts")


def alert(text: str, webhook: SecretStr | None = None) -> bool:
    """Say something in the log and, where a webhook is given, there too.

    Parameters
    ----------
    text : str
        What to say.
    webhook : SecretStr, optional
        Address that takes ``{"text": …}``, as Slack, Mattermost and Discord (with ``/slack``) do. It is a secret:
        whoever knows it can write to the channel, so it is never logged.

    Returns
    -------
    bool
        Whether the webhook took it; also True where none is given. A webhook that fails is logged and does not stop
        the pipeline.

    Examples
    --------
    >>> alert("funding_rates of okx are 2 days old")
    True
    """
    _log.error(text)
    if webhook is None:
        return True
    try:
        # not httpx, which logs the address of every request
        body = json.dumps({"text": text}).encode()
        request = Request(webhook.get_secret_value(), body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=TIMEOUT_S):
            return True
    except (OSError, HTTPException, ValueError) as error:
        # the text of such errors holds the address
        status = error.code if isinstance(error, HTTPError) else type(error).__name__
        _log.error("the alert webhook did not take the message: %s", status)
        return False


@dg.run_failure_sensor(description="Tells of every failed run.", default_status=dg.DefaultSensorStatus.RUNNING)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    """One message a failed run, with its error."""
    run = context.dagster_run
    alert(f"run {run.run_id[:8]} of {run.job_name} failed: {context.failure_event.message}", settings().alert_webhook)


@dg.sensor(
    minimum_interval_seconds=3600,
    description="Tells of tables whose newest row is too old, once a day.",
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def stale_data(context: dg.SensorEvaluationContext, store: Store) -> dg.SkipReason:
    """Age is that of the data, not of the asset."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    if context.cursor == today:
        return dg.SkipReason("told today")
    lines = stale(store.open())
    if not lines:
        return dg.SkipReason("nothing is stale")
    if alert("stale: " + "; ".join(lines), settings().alert_webhook):
        context.update_cursor(today)
    return dg.SkipReason(f"told of {len(lines)} stale tables")


SENSORS = (failed_runs, stale_data)
