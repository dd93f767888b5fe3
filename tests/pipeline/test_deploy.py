"""The files of a deployment are what the tools that read them take, and fit each other."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

dg = pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline.definitions import build_defs  # noqa: E402
from cexkit_pipeline.reference import generated  # noqa: E402

from cexkit.exchanges.registry import EXCHANGES  # noqa: E402
from cexkit.exchanges.streams import STREAMS  # noqa: E402

BIN = Path(sys.executable).parent


@pytest.fixture
def deploy(project_root) -> Path:
    return project_root / "pipeline/deploy"


@pytest.mark.parametrize("path", sorted(generated()))
def test_what_is_generated_from_the_settings_is_up_to_date(project_root, path):
    text = (project_root / path).read_text(encoding="utf-8")
    assert text == generated()[path], "run `python -m cexkit_pipeline.reference`"


def test_the_local_instance_reads_its_limits(deploy, tmp_path):
    shutil.copy(deploy / "dagster.local.yaml", tmp_path / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert_limits(instance)


def test_every_venue_is_read_by_one_step_at_a_time_and_every_file_written_by_one():
    assets = [asset for asset in build_defs().assets if isinstance(asset, dg.AssetsDefinition)]
    pools = {asset.key.to_user_string(): asset.op.pool for asset in assets}
    assert pools.pop("publication") == "publication"
    for key, pool in pools.items():
        layer, *rest = key.split("/")
        assert pool == {"bronze": rest[0], "silver": "_".join(["silver", *rest]), "gold": f"gold_{rest[-1]}"}[layer]
    assert {pool for key, pool in pools.items() if key.startswith("bronze")} == set(EXCHANGES)


def assert_limits(instance: dg.DagsterInstance) -> None:
    """As the instance itself sees them."""
    found = instance.get_concurrency_config()
    assert found.pool_config.default_pool_limit == 1
    assert found.pool_config.pool_granularity.value == "op"
    assert found.run_queue_config.max_concurrent_runs == 4
    assert instance.run_monitoring_enabled
    assert instance.run_retries_enabled
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert not instance.telemetry_enabled


@pytest.fixture
def postgres():
    """A Postgres of this machine, in a folder of its own."""
    found = shutil.which("initdb") or next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if found is None:
        pytest.skip("needs a Postgres server (initdb)")
    # it does not run as root
    whose = {"user": "postgres"} if os.geteuid() == 0 else {}
    if whose and "postgres" not in {one.pw_name for one in pwd.getpwall()}:
        pytest.skip("Postgres does not run as root, and there is no user postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True, **whose).strip())
    subprocess.run(
        ["tee", folder / "password"], input="secret", text=True, check=True, stdout=subprocess.DEVNULL, **whose
    )
    control = [str(Path(found).with_name("pg_ctl")), "-D", folder / "data", "-w", "-l", folder / "log"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    try:
        words = ["-D", folder / "data", "-U", "dagster", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}"]
        subprocess.run([found, *words], check=True, capture_output=True, **whose)
        subprocess.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, **whose)
        yield port
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True, **whose)
        subprocess.run(["rm", "-rf", folder], check=True, **whose)


def test_dagster_keeps_runs_in_postgres_as_the_deployment_says(deploy, tmp_path, monkeypatch, postgres):
    pytest.importorskip("dagster_postgres", reason="needs the extra `postgres`")
    # the port is the image's; here it is a free one
    text = (deploy / "dagster.yaml").read_text()
    assert text.count("5432") == 1
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(text.replace("5432", str(postgres)))
    # the database that is there from the start
    for name, value in {"HOST": "127.0.0.1", "USER": "dagster", "PASSWORD": "secret", "DB": "postgres"}.items():
        monkeypatch.setenv(f"DAGSTER_POSTGRES_{name}", value)

    @dg.asset
    def kept() -> None: ...

    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert_limits(instance)
        done = dg.materialize([kept], instance=instance)
    with dg.DagsterInstance.from_config(str(home)) as again:
        assert again.get_run_by_id(done.run_id).is_success
        assert again.get_latest_materialization_event(kept.key).run_id == done.run_id
        assert "Postgres" in type(again.run_storage).__name__
    assert not list(home.rglob("*.db"))


def test_both_instances_limit_the_same(deploy):
    one, other = (yaml.safe_load((deploy / name).read_text()) for name in ("dagster.yaml", "dagster.local.yaml"))
    assert one.pop("storage")
    assert one == other


@pytest.fixture
def compose(project_root, tmp_path):
    """The compose file as a compose tool understands it: anchors, variables and all."""
    pytest.importorskip("podman_compose", reason="needs podman-compose")
    shutil.copy(project_root / "compose.yaml", tmp_path)
    shutil.copy(project_root / ".env.example", tmp_path / ".env")
    # asked for nothing but its version: `config` starts nothing
    (tmp_path / "podman").write_text("#!/bin/sh\necho podman version 5.0.0\n")
    (tmp_path / "podman").chmod(0o755)

    def config(**environment: str) -> subprocess.CompletedProcess:
        words = [BIN / "podman-compose", "--podman-path", tmp_path / "podman", "config"]
        outside = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_")}
        return subprocess.run(
            words, cwd=tmp_path, env=outside | environment, capture_output=True, text=True, timeout=60
        )

    return config


def test_a_compose_tool_reads_the_compose_file(compose, project_root):
    done = compose()
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)
    services = found["services"]
    assert set(services) == {"postgres", "webserver", "daemon", "collector"}
    for name, service in services.items():
        assert service["restart"] == "unless-stopped"
        # the web server's is the image's own
        assert "healthcheck" in service or name == "webserver"
        for volume in service["volumes"]:
            assert volume.split(":")[0] in found["volumes"]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"mem_limit", "cpus", "pids_limit", "tmpfs"} <= set(service)
        assert not [name for name in service["environment"] if name.endswith(("PASSWORD", "TOKEN", "WEBHOOK"))]
    for name in ("webserver", "daemon", "collector"):
        assert services[name]["env_file"] == [".env"]
        assert "cap_add" not in services[name]
    assert services["collector"]["command"][2:] == sorted(STREAMS)
    assert all(address.startswith("127.0.0.1:") for address in services["webserver"]["ports"])


def test_each_service_has_only_the_secrets_that_it_needs(compose):
    found = yaml.safe_load(compose().stdout)
    password = "DAGSTER_POSTGRES_PASSWORD"
    needs = {
        "postgres": {password}, "webserver": {password}, "daemon": {password, "HF_TOKEN", "CEXKIT_ALERT_WEBHOOK"},
        "collector": set(),
    }  # fmt: skip
    assert {name: set(service.get("secrets", ())) for name, service in found["services"].items()} == needs
    assert {name: secret["file"] for name, secret in found["secrets"].items()} == {
        name: f"secrets/{name}" for name in set().union(*needs.values())
    }
    postgres = found["services"]["postgres"]["environment"]
    assert postgres["POSTGRES_PASSWORD_FILE"] == f"/run/secrets/{password}"


def test_secrets_become_variables_of_the_command_alone(deploy, tmp_path):
    (tmp_path / "HF_TOKEN").write_text("hf_abc\n")
    (tmp_path / "CEXKIT_ALERT_WEBHOOK").write_text("")
    words = [deploy / "with-secrets", "sh", "-c", 'echo "$HF_TOKEN|$CEXKIT_ALERT_WEBHOOK|$1"', "sh", "two words"]
    outside = {"PATH": os.environ["PATH"], "SECRETS_FOLDER": str(tmp_path)}
    assert subprocess.check_output(words, env=outside, text=True) == "hf_abc||two words\n"
    assert subprocess.check_output(words, env=outside | {"SECRETS_FOLDER": "/nowhere"}, text=True) == "||two words\n"


@pytest.mark.parametrize("base", ["", "python:3.12-slim", "python:3.12-slim@sha256:abc", "python@sha256:" + "0" * 63])
def test_release_refuses_a_base_image_without_a_digest(project_root, base):
    done = subprocess.run([project_root / ".ci/release", base], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"must be named by its digest, such as python:3.12-slim@sha256:…, got '{base}'" in done.stderr


def test_commands_of_the_services_are_those_of_the_tools(project_root):
    services = yaml.safe_load((project_root / "compose.yaml").read_text())["services"]
    image = re.findall(r"^CMD \[(.*)\]$", (project_root / "Dockerfile").read_text(), flags=re.MULTILINE)[-1]
    commands = [services["daemon"]["command"], services["collector"]["command"], re.findall(r'"(.*?)"', image)]
    for words in commands:
        words = words[1:] if words[0] == "with-secrets" else words
        flags = [word for word in words if word.startswith("--")]
        which = words[:2] if not words[1].startswith("--") else words[:1]
        said = subprocess.run([BIN / which[0], *which[1:], "--help"], capture_output=True, text=True, timeout=60)
        assert said.returncode == 0
        assert not [flag for flag in flags if flag not in said.stdout]


def test_the_image_is_pinned_has_no_root_and_copies_what_is_there(project_root):
    text = (project_root / "Dockerfile").read_text()
    installs = re.findall(r"pip install (.*)$", text, flags=re.MULTILINE)
    assert installs
    assert all("--constraint constraints.txt" in each or "--no-deps" in each for each in installs)
    assert "--no-build-isolation" in text
    assert re.findall(r"^FROM (\S+)", text, flags=re.MULTILINE) == ["${BASE_IMAGE}"] * 2
    assert re.findall(r"^USER (.*)$", text, flags=re.MULTILINE)[-1] == "cexkit"
    assert "\nHEALTHCHECK" in text
    copied = re.findall(r"^COPY (?!--from)(?:--chmod=\d+ )?(.*) \S+$", text, flags=re.MULTILINE)
    shown = {line[1:] for line in (project_root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for path in " ".join(copied).split():
        assert (project_root / path).exists()
        assert path.split("/")[0] in shown, f".dockerignore hides {path}"
    pinned = (project_root / "constraints.txt").read_text()
    for package in ("dagster", "dagster-webserver", "dagster-postgres", "psycopg2-binary"):
        assert re.search(rf"^{package}==", pinned, flags=re.MULTILINE)
