"""Take the picture of the asset graph anew: ``python docs/images/asset_graph.py``, with the extra `dev`.

Dagster's own pages, served by its web server, in a headless Chromium; nothing is drawn.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Page, sync_playwright

PICTURE = Path(__file__).with_name("asset-graph.png")
SIZE = {"width": 1400, "height": 700}


def main() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        words = ["--host", "127.0.0.1", "--port", str(port), "--module-name", "cexkit_pipeline.definitions"]
        server = subprocess.Popen(
            [Path(sys.executable).with_name("dagster-webserver"), *words], env=os.environ | {"DAGSTER_HOME": home}
        )
        try:
            _wait(f"http://127.0.0.1:{port}/server_info")
            _photograph(f"http://127.0.0.1:{port}/asset-groups")
        finally:
            server.terminate()
            server.wait()


def _wait(url: str, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            urlopen(url, timeout=5).close()
            return
        except URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def _photograph(url: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, device_scale_factor=1.5)
        page.goto(url)
        _settled(page)
        page.get_by_role("button", name="Skip").click()
        # Dagster remembers that, and fits the graph to the page when it is opened again
        page.get_by_text("Hide navigation").click()
        page.reload()
        _settled(page)
        page.screenshot(path=PICTURE)
        browser.close()


def _settled(page: Page) -> None:
    page.get_by_text("publication").first.wait_for(timeout=60_000)
    page.wait_for_timeout(4_000)


if __name__ == "__main__":
    main()
