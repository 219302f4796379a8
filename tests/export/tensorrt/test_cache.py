"""The engine cache: another key for all that makes another engine, the same for what does not."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from export.tensorrt.build import BuildOptions
from export.tensorrt.cache import EngineCache, cache_key, timing_cache_path
from granet.errors import UserError
from runtime.artefacts.manifest import sha256_of
from runtime.artefacts.metadata import ModelMetadata
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.optimisation_profile import Profile
from runtime.tensorrt.private_cache import cache_directory
from runtime.tensorrt.record import EngineRecord, record_path

ORIN = Gpu(0, "Orin", "8.7", "12.6")
BASE: dict[str, Any] = {
    "flavour": Flavour("tensorrt", "10.3.0", None),
    "onnx_sha256": "a" * 64,
    "profile": Profile.fixed(1, 480, 640),
    "options": BuildOptions(),
    "gpu": ORIN,
}
OTHERS: dict[str, dict[str, Any]] = {
    "flavour": {"flavour": Flavour("tensorrt-rtx", "10.3.0", None)},
    "version": {"flavour": Flavour("tensorrt", "10.3.1", None)},
    "model": {"onnx_sha256": "b" * 64},
    "batch": {"profile": Profile.fixed(2, 480, 640)},
    "size": {"profile": Profile.fixed(1, 640, 480)},
    "profile": {"profile": Profile((1, 480, 640), (1, 480, 640), (1, 480, 648))},
    "capabilities": {"options": BuildOptions(capabilities=("8.6",))},
    "workspace": {"options": BuildOptions(workspace_gib=1)},
    "level": {"options": BuildOptions(optimisation_level=3)},
    "dla": {"options": BuildOptions(dla=0)},
    "dla core": {"options": BuildOptions(dla=1)},
    "no gpu": {"gpu": None},
    "gpu": {"gpu": replace(ORIN, name="Orin NX")},
    "capability": {"gpu": replace(ORIN, capability="8.9")},
    "driver": {"gpu": replace(ORIN, driver="13.0")},
}


def test_every_ingredient_changes_the_key() -> None:
    keys = [cache_key(**BASE), *(cache_key(**BASE | other) for other in OTHERS.values())]
    assert len(set(keys)) == len(OTHERS) + 1


def test_the_platform_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache_key(**BASE)
    monkeypatch.setattr("platform.machine", lambda: "aarch64-of-a-kind")
    assert cache_key(**BASE) != before


def test_a_key_ignores_what_does_not_change_the_engine() -> None:
    key = cache_key(**BASE)
    assert cache_key(**BASE) == key
    assert cache_key(**BASE | {"options": BuildOptions(timing_cache=Path("timings.cache"))}) == key
    assert cache_key(**BASE | {"options": BuildOptions(own_timings=True)}) == key
    assert cache_key(**BASE | {"gpu": replace(ORIN, index=1)}) == key  # another of the same kind


def nothing_said(line: str) -> None:
    raise AssertionError(line)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan"
    path.write_bytes(b"a plan")
    return path


def record_of(plan: Path) -> EngineRecord:
    metadata = ModelMetadata(
        {}, "best.pt", "c" * 64, "fp32", "frames", "bgr", 8, 512, 480, 640, 1, ["derained"], {}
    )
    return EngineRecord(
        file="best.engine",
        sha256=sha256_of(plan),
        onnx="best.onnx",
        onnx_sha256="a" * 64,
        table_sha256=None,
        metadata=metadata,
        flavour="tensorrt-rtx",
        version="1.7.1.116",
        platform="Linux-x86_64",
        compute_capabilities=(),
        cuda=None,
        driver=None,
        gpu=None,
        profiles=(Profile.fixed(1, 480, 640),),
        layers=None,
        build_seconds=1.0,
        parity=None,
        parity_reason="not measured",
        warnings=(),
        created="2026-11-23T00:00:00+00:00",
        arguments=(),
    )


def test_a_stored_engine_is_found_again(tmp_path: Path, plan: Path) -> None:
    cache, record = EngineCache(tmp_path / "engines", nothing_said), record_of(plan)
    assert cache.find("k") is None
    cache.keep("k", b"a plan", record)
    found = cache.find("k")
    assert found is not None
    assert (found.plan, found.record) == (b"a plan", record)
    assert cache.find("l") is None
    assert (tmp_path / "engines").stat().st_mode & 0o077 == 0  # engines are code: nobody else puts one there


@pytest.mark.parametrize("harm", ["truncated", "no record"])
def test_a_damaged_engine_is_built_again(tmp_path: Path, plan: Path, harm: str) -> None:
    cache = EngineCache(tmp_path / "engines", nothing_said)
    cache.keep("k", b"a plan", record_of(plan))
    engine = tmp_path / "engines/k.engine"
    if harm == "truncated":
        engine.write_bytes(b"a pl")
    else:
        record_path(engine).unlink()
    assert cache.find("k") is None


def test_the_engine_that_was_used_longest_ago_goes(tmp_path: Path, plan: Path) -> None:
    cache = EngineCache(tmp_path / "engines", nothing_said)
    for number in range(8):
        cache.keep(str(number), b"a plan", record_of(plan))
        os.utime(tmp_path / f"engines/{number}.engine", (number, number))
    assert cache.find("0") is not None  # used: now 1 is the oldest
    cache.keep("new", b"a plan", record_of(plan))
    assert cache.find("1") is None
    assert cache.find("0") is not None and cache.find("new") is not None
    assert len(list((tmp_path / "engines").iterdir())) == 2 * 8  # each with its record


@pytest.mark.parametrize("name", ["k.engine", "k.engine.json", "."])
def test_an_engine_that_another_user_may_have_put_there_is_not_taken(
    name: str, tmp_path: Path, plan: Path
) -> None:
    told: list[str] = []
    cache = EngineCache(tmp_path / "engines", told.append)
    cache.keep("k", b"a plan", record_of(plan))
    assert cache.find("k") is not None
    (tmp_path / "engines" / name).chmod(0o777)
    assert cache.find("k") is None
    assert len(told) == 1 and "other users can write" in told[0] and "executable code" in told[0]


def test_builds_at_the_same_time_leave_one_that_is_whole(tmp_path: Path, plan: Path) -> None:
    """Several threads stand for processes; each stores another plan under the same key."""
    cache = EngineCache(tmp_path / "engines", nothing_said)
    plans = [bytes([number]) * 50_000 for number in range(4)]

    def build(made: bytes) -> None:
        digest = hashlib.sha256(made).hexdigest()
        for _ in range(10):
            found = cache.find("k")
            assert found is None or hashlib.sha256(found.plan).hexdigest() == found.record.sha256
            cache.keep("k", made, replace(record_of(plan), sha256=digest))

    with ThreadPoolExecutor(len(plans)) as pool:
        list(pool.map(build, plans))
    assert sorted(path.name for path in (tmp_path / "engines").iterdir()) == ["k.engine", "k.engine.json"]


def test_a_cache_that_cannot_be_written_is_a_users_error(tmp_path: Path, plan: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be created"):
        EngineCache(tmp_path / "file" / "engines", nothing_said).keep("k", b"a plan", record_of(plan))


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "granet-deploy"
    path = timing_cache_path(BASE["flavour"], replace(ORIN, name="NVIDIA Orin (nvgpu)"))
    assert path.parent == cache_directory()
    assert path.name == "timings-10.3.0-NVIDIA-Orin--nvgpu--8.7.cache"
