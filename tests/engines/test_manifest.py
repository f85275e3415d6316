"""The manifest of docs/scale.md, as it stands there: what KubeRay reads in it, and that it asks for a token."""

import importlib
import re
from pathlib import Path
from typing import Any

from rrm.engines.ray import OLDEST

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


def manifest() -> dict[str, Any]:
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return dict(importlib.import_module("yaml").safe_load(found[1]))


def test_a_cluster_on_kubernetes_asks_for_a_token_and_is_of_a_ray_that_was_looked_at() -> None:
    cluster = manifest()
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    assert tuple(map(int, cluster["spec"]["rayVersion"].split(".")[:2])) >= OLDEST


def test_the_run_file_beside_the_manifest_asks_for_as_many_workers_as_its_pods_have() -> None:
    groups = manifest()["spec"]["workerGroupSpecs"]
    has = sum(
        each["replicas"] * int(each["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
        for each in groups
    )
    asked = re.search(r"`workers = \[\{ cpus = 1, count = (\d+) \}\]`", PAGE.read_text("utf-8"))
    assert asked is not None
    assert has == int(asked[1])


def test_where_the_record_lies_is_a_volume_that_outlives_the_pod() -> None:
    head = manifest()["spec"]["headGroupSpec"]["template"]["spec"]
    kept = {each["name"] for each in head["volumes"] if "persistentVolumeClaim" in each}
    assert [each["mountPath"] for each in head["containers"][0]["volumeMounts"] if each["name"] in kept] == ["/runs"]
