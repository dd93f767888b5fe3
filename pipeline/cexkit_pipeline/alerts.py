"""What operators are told: failed runs, stale data, what each run did; in the log and by webhook where one is set."""

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
from cexkit.errors import ConfigError
from cexkit.network import network_hint, proxy_of, require_usable_network
from cexkit.text import masked, printable
from cexkit.warehouse.quality import stale
from cexkit_pipeline.resources import Store
from cexkit_pipeline.summary import summary

TIMEOUT_SECONDS = 10.0
#: Tag by which Dagster marks runs of schedules.
SCHEDULED = "dagster/schedule_name"
#: Most failed steps that an alert names.
CAUSES = 5

_log = logging.getLogger("cexkit.alerts")


def alert(text: str, webhook: SecretStr | None = None, level: int = logging.ERROR) -> bool:
    """Say something in the log and, where a webhook is given, there too.

    Parameters
    ----------
    text : str
        What to say.
    webhook : SecretStr, optional
        Address that takes ``{"text": …}``, as Slack, Mattermost and Discord (with ``/slack``) do. It is a secret:
        whoever knows it can write to the channel, so it is never logged.
    level : int
        Level of the line in the log.

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
    text = printable(masked(text), "\n")
    _log.log(level, text)
    if webhook is None:
        return True
    try:
        _require_usable_network(webhook.get_secret_value())
        # not httpx, which logs the address of every request
        body = json.dumps({"text": text}).encode()
        request = Request(webhook.get_secret_value(), body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=TIMEOUT_SECONDS):
            return True
    except ConfigError as error:
        _log.error("the alert webhook was not asked: %s", error)
        return False
    except (OSError, HTTPException, ValueError) as error:
        # the text of such errors holds the address
        status = error.code if isinstance(error, HTTPError) else type(error).__name__
        hint = network_hint(webhook.get_secret_value(), error)
        _log.error("the alert webhook did not take the message: %s%s", status, hint)
        return False


def _require_usable_network(url: str) -> None:
    """Raise ConfigError if a variable for proxies or certificates keeps the webhook from being asked."""
    require_usable_network(url)
    proxy = proxy_of(url)
    if proxy is not None and proxy.is_socks:
        raise ConfigError(f"{proxy.variable} must name an HTTP proxy for alerts, got a SOCKS proxy; name an HTTP proxy")


@dg.run_failure_sensor(
    description="Tells of every failed run, with its cause.",
    # A run that the command line started belongs to no code location.
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    """One message a failed run, with the errors of its steps."""
    run = context.dagster_run
    title = f"run {run.run_id[:8]} of {run.job_name} failed"
    events = context.get_step_failure_events()
    causes = [f"{event.step_key}: {_cause(event)}" for event in events[:CAUSES]]
    causes += [f"{len(events) - CAUSES:,} more steps failed"] if events[CAUSES:] else []
    alert("\n".join([f"{title}:", *causes]) if causes else f"{title}: {context.failure_event.message}", _webhook())


def _cause(event: dg.DagsterEvent) -> str:
    """Return why a step failed, in one line: what it says itself, else its first exception."""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return printable(error.message.strip()) if error else "no error is known"


def _webhook() -> SecretStr | None:
    return settings().alert_webhook


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


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    description="Says what each scheduled run did, and each other run in which something is not right.",
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def run_summaries(context: dg.RunStatusSensorContext) -> None:
    """One message a scheduled run; of others, however they were started, only those in which something is not right."""
    run = context.dagster_run
    found = summary(context.instance, run)
    notify = (SCHEDULED in run.tags and found.counts) or not found.fine
    level = logging.INFO if found.fine else logging.WARNING
    context.log.log(level, str(found))
    alert(str(found), settings().alert_webhook if notify else None, level)


SENSORS = (failed_runs, stale_data, run_summaries)
