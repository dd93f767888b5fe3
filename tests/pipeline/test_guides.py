"""What the guides tell operators to type and to write is what the tools take."""

from __future__ import annotations

import re

import pytest
import yaml

dg = pytest.importorskip("dagster", reason="needs the extra `pipeline`")

from cexkit_pipeline.automation import SCHEDULES  # noqa: E402
from cexkit_pipeline.definitions import build_defs  # noqa: E402
from cexkit_pipeline.reference import OTHERS, names  # noqa: E402

from cexkit.config import Settings  # noqa: E402


@pytest.fixture(params=["run-the-pipeline", "go-distributed"])
def guide(request, project_root) -> str:
    return (project_root / f"docs/how-to/{request.param}.md").read_text(encoding="utf-8")


@pytest.fixture
def distributed(project_root) -> str:
    return (project_root / "docs/how-to/go-distributed.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_yaml_is_yaml_and_limits_are_those_of_the_instance(distributed, project_root, tmp_path):
    found = [yaml.safe_load(block) for block in blocks(distributed, "yaml")]
    assert len(found) == 4
    assert all(isinstance(one, dict) for one in found)
    (concurrency,) = (one for one in found if "concurrency" in one)
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(concurrency))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1


def test_python_runs_and_another_executor_takes_the_place_of_dagsters(distributed):
    space: dict = {}
    exec(compile("\n".join(blocks(distributed, "python")), "go-distributed", "exec", dont_inherit=True), space)
    assert space["defs"].executor.name == "multiprocess"
    job = space["defs"].resolve_job_def("day")
    assert job.executor_def is space["defs"].executor
    assert len(job.nodes) == len(build_defs().resolve_job_def("day").nodes)


def test_variables_are_those_that_are_read(guide):
    known = {one for name, field in Settings.model_fields.items() for one in names(name, field)} | set(OTHERS)
    known |= {f"DAGSTER_POSTGRES_{part}" for part in ("HOST", "USER", "PASSWORD", "DB")}
    assert set(re.findall(r"\b(?:CEXKIT|DAGSTER|HF)_[A-Z_]+[A-Z]\b", guide)) <= known


def test_what_the_guide_selects_and_schedules_is_there(project_root):
    text = (project_root / "docs/how-to/run-the-pipeline.md").read_text(encoding="utf-8")
    defs = build_defs()
    graph = defs.resolve_asset_graph()
    for key, first, last in re.findall(r"--select key:(\S+) --partition-range (\S+)\.\.\.(\S+)", text):
        partitions = graph.get(dg.AssetKey(key.split("/"))).partitions_def
        assert {first, last} <= set(partitions.get_partition_keys())
    for tag in re.findall(r"`tag:(\S+?)`", text):
        assert dg.AssetSelection.from_string(f"tag:{tag}").resolve(graph)
    groups = {graph.get(key).group_name for key in graph.get_all_asset_keys()}
    told = set(re.findall(r"^\| `([a-z_<>]+)` \|", text, flags=re.MULTILINE))
    assert told == {re.sub(r"(bronze|silver)_.*", r"\1_<venue>", group) for group in groups}
    crons = {schedule.name: schedule.cron for schedule in SCHEDULES}
    for name, time in {"daily_compaction": "01:50", "daily_closed_day": "00:20", "daily_settled_day": "00:40"}.items():
        hour, minute = map(int, time.split(":"))
        assert crons[name] == f"{minute} {hour} * * *"
        assert f"{time} UTC" in text
