"""An engine and its record; the engine comes from the cache, so nothing is built."""

from pathlib import Path

import pytest

from export.tensorrt.build import BuildOptions
from export.tensorrt.cache import EngineCache, cache_key
from export.tensorrt.make import make_engine
from export.tensorrt.request import EngineRequest
from granet.errors import UserError
from runtime.artefacts.artefact import read_model
from runtime.checks.parity import ParityReport
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.optimisation_profile import Profile
from runtime.tensorrt.private_cache import cache_directory
from runtime.tensorrt.record import read_record
from tests.runtime.handmade import inverting_file
from tests.runtime.tensorrt.engine_files import PLAN, record

ORIN = Gpu(0, "Orin", "8.7", "12.6")
BUILDER = Flavour("tensorrt", "10.3.0", None)


def test_a_record_says_why_parity_was_not_measured_without_the_users_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = read_model(inverting_file(tmp_path / "best.onnx", height=48, width=64, batch=1))
    output, profile = tmp_path / "best.engine", Profile.fixed(1, 48, 64)
    key = cache_key(BUILDER, model.sha256, profile, BuildOptions(), ORIN)
    EngineCache(cache_directory() / "engines", print).keep(key, PLAN, record(file=f"{key}.engine"))

    def verify(engine: Path) -> ParityReport:
        raise UserError(f"{engine}: was built for another GPU")

    made = make_engine(EngineRequest(output, BUILDER, ORIN, profile), model, verify)
    assert made.cached and output.read_bytes() == PLAN
    assert read_record(output).parity_reason == "not measured: best.engine: was built for another GPU"
    assert "parity could not be measured here" in capsys.readouterr().err
