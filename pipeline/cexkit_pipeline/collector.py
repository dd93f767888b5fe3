"""The liquidation collector as a Dagster job, in a separate process that Dagster starts, watches, and ends.

Listening is implemented in :mod:`cexkit.warehouse.collect`. The job runs until it is stopped; in production, run the
collector as a separate service (``cexkit collect``) and use this job to try it out.
"""

# no `from __future__ import annotations`: Dagster reads the annotations of ops
import json
import os
import signal
import subprocess
import sys

import dagster as dg
from pydantic import Field

from cexkit.exchanges.streams import STREAMS
from cexkit_pipeline.resources import Store, Venues


class Listening(dg.Config):
    """Venues to listen to, and the duration in seconds; no duration means until stopped."""

    exchanges: list[str] = Field(default_factory=lambda: sorted(STREAMS))
    seconds: float | None = None


@dg.op(description="Run `cexkit collect` until it ends or the run is ended.")
def listen(context: dg.OpExecutionContext, config: Listening, store: Store, venues: Venues) -> None:
    """Log the output of the process. If the run is ended, send SIGTERM to the process, which then loses no data."""
    words = [sys.executable, "-m", "cexkit.cli", "collect", *config.exchanges, "--warehouse", store.warehouse]
    if config.seconds is not None:
        words += ["--seconds", str(config.seconds)]
    skew = venues.max_clock_skew_seconds
    environment = os.environ | {
        "CEXKIT_BASE_URLS": json.dumps(venues.base_urls),
        "CEXKIT_MAX_CLOCK_SKEW_SECONDS": "none" if skew is None else str(skew),
    }
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            process.send_signal(signal.SIGTERM)
            # The process now writes the received messages and prints a summary. Read it, because a closed pipe would
            # be an error there.
            context.log.info(process.communicate()[0])
            raise
    context.log.info(output)
    if process.returncode:
        raise dg.Failure(f"cexkit collect ended with {process.returncode}: {output[-2000:]}")


@dg.job(description="Collect live liquidations until the run is ended.")
def collect_liquidations() -> None:
    """Run one op until it is stopped."""
    listen()
