"""The files of deploy/: valid for their schedulers, and with commands that exist."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.archive.shards import parse_shard

DEPLOY = Path(__file__).parents[1] / "deploy"
MANIFEST = DEPLOY / "archive-kubernetes.yaml"


@pytest.fixture
def job() -> dict[str, Any]:
    return yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_the_manifest_matches_the_schema_of_kubernetes(job: dict[str, Any]) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    validator.validate(job, validator.latest_version(), strict=True)


def test_every_pod_of_the_manifest_gets_a_share_of_its_own(job: dict[str, Any]) -> None:
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    given = {each["name"]: each["value"] for each in container["env"]}
    assert (job["apiVersion"], job["kind"], spec["completionMode"]) == ("batch/v1", "Job", "Indexed")
    assert spec["template"]["spec"]["restartPolicy"] in ("OnFailure", "Never")
    shares = [
        parse_shard(None, {**given, "JOB_COMPLETION_INDEX": str(index)})
        for index in range(spec["completions"])
    ]
    assert {share.count for share in shares} == {spec["completions"]} and len(set(shares)) == len(shares)
    mounted = {each["name"] for each in container["volumeMounts"]}
    assert mounted == {each["name"] for each in spec["template"]["spec"]["volumes"]}


@pytest.mark.parametrize("script", sorted(DEPLOY.glob("*.sh")), ids=lambda path: path.stem)
def test_a_script_is_valid_and_asks_for_its_arguments(script: Path, tmp_path: Path) -> None:
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    refused = subprocess.run(["bash", script], capture_output=True, text=True, check=False)
    assert refused.returncode != 0 and "give the" in refused.stderr
    recorder = tmp_path / "granet-archive"
    recorder.write_text('#!/bin/bash\nprintf "%q " "$@"\n')
    recorder.chmod(0o755)
    arguments = ["/a b", "/c", "/d", "4"]
    shown = subprocess.run(
        ["bash", script, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )
    assert "/a b" in shlex.split(shown.stdout)


def test_the_share_of_an_array_task_is_the_one_of_slurm() -> None:
    text = (DEPLOY / "archive-slurm.sh").read_text(encoding="utf-8")
    assert "#SBATCH --array=0-19" in text
    environment = {"SLURM_ARRAY_TASK_ID": "19", "SLURM_ARRAY_TASK_COUNT": "20", "SLURM_ARRAY_TASK_MIN": "0"}
    assert str(parse_shard(None, environment)) == "19/20"
