"""A model on a server: the engine's contract, and what a server can do to it."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import grpc
import numpy as np
import pytest

from granet.errors import UserError
from runtime import Engine, open_engine
from runtime.checks.bench import measure_bench, pair
from runtime.engines.base import EngineAwayError
from runtime.engines.remote.address import ServerAddress
from runtime.engines.remote.engine import RemoteEngine
from runtime.engines.remote.shared_memory import Regions
from runtime.live.guard import EngineFaultError, EngineGuard
from runtime.live.in_order import in_order
from runtime.live.patience import PatientEngine
from runtime.telemetry.health import Health
from tests.patience import PATIENCE
from tests.runtime.engines.remote.fake_server import FakeServer, running_server
from tests.runtime.handmade import METADATA, write_manifest


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with running_server() as running:
        yield running


@pytest.fixture
def engine(server: FakeServer) -> Iterator[Engine]:
    with open_engine(address(server)) as opened:
        yield opened


def address(server: FakeServer, model: str = "granet") -> str:
    return f"grpc://127.0.0.1:{server.port}/{model}"


def noise(n: int = 1, height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


def opened(server: FakeServer, patience: float = 0.0) -> RemoteEngine:
    parsed = ServerAddress.parse(address(server))
    assert parsed is not None
    return RemoteEngine(parsed, patience=patience)


class TestContract:
    """The contract of every engine."""

    @pytest.mark.parametrize("size", [(24, 32), (17, 130), (16, 16), (40, 530)])
    @pytest.mark.parametrize("n", [1, 3])
    def test_returns_the_servers_pixels(self, engine: Engine, n: int, size: tuple[int, int]) -> None:
        frames = noise(n, *size)
        np.testing.assert_array_equal(engine.run(frames), 255 - frames)

    def test_the_caller_owns_the_result(self, engine: Engine) -> None:
        frames = noise()
        engine.run(frames)[...] = 0
        np.testing.assert_array_equal(engine.run(frames[..., ::-1])[..., ::-1], 255 - frames)

    def test_the_server_says_colour_size_and_precision(self, server: FakeServer) -> None:
        assert server.served is not None
        server.served |= {"colour": "rgb", "multiple": 16, "precision": "fp16", "height": 32, "width": 48}
        with open_engine(address(server)) as engine:
            info = engine.info
            assert (info.backend, info.colour, info.precision) == ("remote", "rgb", "fp16")
            assert (info.fit.rule.multiple, info.fit.height, info.fit.width) == (16, 32, 48)
            assert f"127.0.0.1:{server.port}" in info.description and "version 10" in info.description
            frames = noise(1, 20, 40)
            np.testing.assert_array_equal(engine.run(frames), 255 - frames)

    def test_a_batch_larger_than_the_servers_is_sent_in_parts(self, server: FakeServer) -> None:
        server.most = 2
        frames = noise(5)
        with open_engine(address(server)) as engine:
            np.testing.assert_array_equal(engine.run(frames), 255 - frames)
        assert server.batches == [2, 2, 1]

    def test_a_fixed_batch_is_filled(self, server: FakeServer) -> None:
        assert server.served is not None
        server.served["batch"], server.most = 4, 0
        with open_engine(address(server)) as engine:
            np.testing.assert_array_equal(engine.run(noise(5)), 255 - noise(5))
        assert server.batches == [4, 4]

    def test_the_mask_of_a_model_that_has_one(self, server: FakeServer) -> None:
        assert server.served is not None
        server.served["outputs"] = ["derained", "mask"]
        with open_engine(address(server)) as engine:
            frames, mask = engine.run(noise(), want_mask=True)
            np.testing.assert_array_equal(frames, 255 - noise())
            np.testing.assert_array_equal(mask, noise())

    def test_frames_that_are_none_are_refused_here(self, engine: Engine, server: FakeServer) -> None:
        with pytest.raises(UserError, match="uint8"):
            engine.run(np.zeros((1, 24, 32, 4), np.uint8))
        assert server.batches == []

    def test_closes_twice_and_computes_no_more(self, server: FakeServer) -> None:
        engine = open_engine(address(server))
        engine.close()
        engine.close()
        with pytest.raises(UserError):
            engine.run(noise())


class TestInFlight:
    def test_answers_out_of_order_come_back_in_order(self, server: FakeServer) -> None:
        server.delay = lambda call: 0.2 if call % 4 == 0 else 0.0
        frames = [noise(seed=seed) for seed in range(20)]
        with open_engine(address(server)) as engine:
            assert engine.concurrency == 8
            results = list(in_order(engine.run, frames, engine.concurrency))
        for frame, result in results:
            np.testing.assert_array_equal(result, 255 - frame)
        assert [id(frame) for frame, _ in results] == [id(frame) for frame in frames]

    def test_eight_frames_are_at_the_server_at_once(self, server: FakeServer) -> None:
        together = threading.Barrier(8)
        server.answer = lambda frames: (together.wait(20), 255 - frames)[1]
        with open_engine(address(server)) as engine, ThreadPoolExecutor(8) as pool:
            results = list(pool.map(engine.run, [noise(seed=seed) for seed in range(8)]))
        assert len(results) == 8

    def test_closing_ends_the_calls_in_progress(self, server: FakeServer) -> None:
        at_server, go = threading.Event(), threading.Event()
        server.answer = lambda frames: (at_server.set(), go.wait(20), frames)[2]
        engine = open_engine(address(server))
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(engine.run, noise())
            assert at_server.wait(20)
            engine.close()
            with pytest.raises(UserError):
                call.result(10)
            go.set()


class TestAway:
    """Servers that die, return, hang, or drop frames."""

    def test_a_server_that_dies_and_returns(self, server: FakeServer, engine: Engine) -> None:
        engine.run(noise())
        server.stop()
        with pytest.raises(EngineAwayError, match="away"):
            engine.run(noise())
        server.start()
        np.testing.assert_array_equal(PatientEngine(engine, lambda text: None).run(noise()), 255 - noise())

    def test_while_it_is_away_frames_do_not_wait_for_it(self, server: FakeServer) -> None:
        engine = opened(server)
        server.refuse = (grpc.StatusCode.UNAVAILABLE, "starting")
        for _ in range(20):
            with pytest.raises(EngineAwayError, match="starting"):
                engine.run(noise())
        assert len(server.batches) < 20
        engine.close()

    def test_a_server_that_hangs_misses_the_deadline(self, server: FakeServer) -> None:
        hanging = threading.Event()
        with opened(server) as engine:
            engine.run(noise())  # fast, so the next may take only the least deadline
            server.answer = lambda frames: (hanging.wait(30), frames)[1]
            with pytest.raises(EngineAwayError, match="no answer within 5 s"):
                engine.run(noise())
            hanging.set()

    def test_a_dropped_frame_does_not_hold_back_the_next(self, server: FakeServer, engine: Engine) -> None:
        server.refuse = (grpc.StatusCode.UNAVAILABLE, "Request timeout expired")
        with pytest.raises(EngineAwayError, match="dropped"):
            engine.run(noise())
        server.refuse = None
        np.testing.assert_array_equal(engine.run(noise()), 255 - noise())

    def test_a_live_stream_is_flagged_and_recovers(self, server: FakeServer, engine: Engine) -> None:
        said: list[str] = []
        health = Health("camera")
        guard = EngineGuard(engine, health, said.append)
        server.stop()
        with pytest.raises(EngineFaultError, match="away"):  # before the first success, too
            guard.run(noise())
        assert health.snapshot().engine_failing
        server.start()
        for _ in range(200):
            try:
                guard.run(noise())
                break
            except EngineFaultError:
                time.sleep(0.05)
        assert not health.snapshot().engine_failing
        assert [text.split("(")[0].split(" after")[0] for text in said] == [
            "the engine failed ",
            "the engine recovered",
        ]

    def test_a_file_ends_after_the_patience(self, server: FakeServer, engine: Engine) -> None:
        server.stop()
        said: list[str] = []
        with pytest.raises(UserError, match=r"gave up after 0\.3 s") as caught:
            PatientEngine(engine, said.append, patience=0.3).run(noise())
        assert not isinstance(caught.value, EngineAwayError)
        assert len(said) == 1

    def test_a_stop_ends_the_waiting(self, server: FakeServer, engine: Engine) -> None:
        server.stop()
        with pytest.raises(EngineAwayError):
            PatientEngine(engine, lambda text: None, stopped=lambda: True, patience=1e6).run(noise())

    def test_another_model_ends_a_live_stream_and_every_waiting_frame(
        self, server: FakeServer, engine: Engine
    ) -> None:
        guard = EngineGuard(engine, Health("camera"), lambda text: None)
        guard.derain(noise(), False)
        server.stop()
        with pytest.raises(EngineFaultError):
            guard.derain(noise(), False)
        assert server.served is not None
        server.served["colour"] = "rgb"
        server.start()
        deadline = time.monotonic() + PATIENCE
        with pytest.raises(UserError, match="another model"):
            while time.monotonic() < deadline:
                with suppress(EngineFaultError):
                    guard.derain(noise(), False)
        for _ in range(3):  # nobody waits until it is time to ask again
            with pytest.raises(UserError, match="another model"):
                engine.run(noise())

    def test_another_model_under_the_same_name_is_refused(self, server: FakeServer, engine: Engine) -> None:
        server.stop()
        with pytest.raises(EngineAwayError):
            engine.run(noise())
        assert server.served is not None
        server.served["colour"] = "rgb"
        server.start()
        with pytest.raises(UserError, match="another model"):
            PatientEngine(engine, lambda text: None).run(noise())

    def test_an_engine_that_is_opened_waits_for_its_server(self, server: FakeServer) -> None:
        server.stop()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(opened, server, 30.0)
            time.sleep(0.3)
            server.start()
            with waiting.result(30) as engine:
                np.testing.assert_array_equal(engine.run(noise()), 255 - noise())

    def test_a_server_that_never_comes(self, server: FakeServer) -> None:
        server.stop()
        with pytest.raises(UserError, match="gave up"):
            opened(server, patience=0.1)


class TestWrong:
    """One line each."""

    def refused(self, server: FakeServer, pattern: str, model: str = "granet") -> None:
        with pytest.raises(UserError, match=pattern) as caught:
            open_engine(address(server, model))
        assert "\n" not in str(caught.value) and not isinstance(caught.value, EngineAwayError)

    def test_a_model_of_somebody_else(self, server: FakeServer) -> None:
        server.served = None
        self.refused(server, "not made by granet-export")

    def test_no_such_model(self, server: FakeServer) -> None:
        self.refused(server, "has no model 'resnet'", "resnet")

    @pytest.mark.parametrize("change", [{"colour": "cmyk"}, {"format": 2}, {"multiple": 0}, {"extent": 12}])
    def test_a_description_that_is_damaged(self, server: FakeServer, change: dict[str, object]) -> None:
        assert server.served is not None
        server.served |= change
        self.refused(server, "description")

    def test_a_server_that_does_not_say_what_the_model_is(self, server: FakeServer) -> None:
        server.knows_config = False
        self.refused(server, "manifest")

    def test_its_manifest_says_it_instead(self, server: FakeServer, tmp_path: Path) -> None:
        server.knows_config = False
        manifest = write_manifest(tmp_path / "m.onnx", "0" * 64, replace(METADATA, colour="rgb"))
        with open_engine(f"{address(server)}?manifest={manifest}") as engine:
            assert engine.info.colour == "rgb"
            np.testing.assert_array_equal(engine.run(noise(2)), 255 - noise(2))

    @pytest.mark.parametrize(
        "answer", [lambda x: x[:, ::2], lambda x: x[..., :1], lambda x: x[:0]], ids=["half", "grey", "none"]
    )
    def test_pictures_of_another_shape(self, server: FakeServer, engine: Engine, answer: object) -> None:
        server.answer = answer  # type: ignore[assignment]
        with pytest.raises(UserError, match="returned"):
            engine.run(noise())

    @pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
    def test_an_answer_far_larger_than_the_frames_is_not_received(
        self, server: FakeServer, compression: grpc.Compression
    ) -> None:
        server.stop()
        server.start(compression=compression)
        server.answer = lambda frames: np.zeros((1, 1024, 1024, 3), np.uint8)
        with open_engine(address(server)) as engine:
            with pytest.raises(UserError, match="the server's answer is too large") as caught:
                engine.run(noise())
            assert not isinstance(caught.value, EngineAwayError)
            # Frames of that size get such an answer.
            assert engine.run(noise(1, 1024, 1024)).shape == (1, 1024, 1024, 3)

    def test_a_description_without_end_is_not_received(self, server: FakeServer) -> None:
        assert server.served is not None
        server.served["outputs"] = ["derained" * 300_000]
        self.refused(server, "the server's answer is too large")

    def test_pictures_without_their_bytes(self, server: FakeServer, engine: Engine) -> None:
        server.empty = True
        with pytest.raises(UserError, match="fewer bytes"):
            engine.run(noise())

    @pytest.mark.parametrize("option", [{"device": "cuda"}, {"backend": "openvino"}])
    def test_a_device_or_a_backend_for_a_server(self, option: dict[str, str]) -> None:
        with pytest.raises(UserError, match="the server chooses"):
            open_engine("grpc://127.0.0.1:1/granet", **option)


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("grpc://gpu.local:9001/granet", ServerAddress("gpu.local:9001", "granet")),
            ("grpcs://gpu/a.b-c", ServerAddress("gpu:8001", "a.b-c", secure=True)),
            ("grpc://[::1]:8001/granet/", ServerAddress("[::1]:8001", "granet")),
            (Path("grpc://gpu:8001/granet"), ServerAddress("gpu:8001", "granet")),
            ("grpc://g/m?manifest=a/b.json", ServerAddress("g:8001", "m", manifest=Path("a/b.json"))),
            ("model.onnx", None),
            ("grpc/model.onnx", None),
        ],
    )
    def test_addresses(self, text: str | Path, expected: ServerAddress | None) -> None:
        assert ServerAddress.parse(text) == expected

    @pytest.mark.parametrize(
        "text", ["grpc://", "grpc://gpu:8001", "grpc://gpu:99999/m", "grpc://me:secret@gpu/m", "grpc:///m"]
    )
    def test_malformed_ones_are_refused_without_their_password(self, text: str) -> None:
        with pytest.raises(UserError, match="HOST:PORT/MODEL") as caught:
            ServerAddress.parse(text)
        assert "secret" not in str(caught.value)


def test_bench_measures_a_server(server: FakeServer) -> None:
    subjects = pair([Path(address(server))], [], "auto")
    (result,) = measure_bench(subjects, (24, 32), frames=2, warm_up=1).results
    assert (result.backend, result.model) == ("remote", "granet")


class TestSharedMemory:
    def test_a_server_that_cannot_open_it_is_one_line(self, server: FakeServer) -> None:
        with (
            open_engine(f"{address(server)}?shared-memory") as engine,
            pytest.raises(UserError, match="cannot open shared memory of this machine"),
        ):
            engine.run(noise())
        assert not list(Path("/dev/shm").glob(f"granet-{os.getpid()}-*"))

    def test_memory_of_a_call_in_flight_is_removed_after_the_end(self) -> None:
        client = Mock()
        regions = Regions(client)
        returned, late = regions.take(8), regions.take(8)
        regions.close()
        regions.give_back(returned)
        regions.retire(late)
        assert not list(Path("/dev/shm").glob(f"granet-{os.getpid()}-*"))
        asked = [*client.register_system_shared_memory.mock_calls]
        asked += client.unregister_system_shared_memory.mock_calls
        assert len(asked) == 4 and all(call.kwargs["client_timeout"] for call in asked)

    def test_a_server_elsewhere_is_refused(self) -> None:
        with pytest.raises(UserError, match="only a server on this machine"):
            ServerAddress.parse("grpc://host.example:8001/granet?shared-memory")

    def test_both_settings_of_an_address(self) -> None:
        parsed = ServerAddress.parse("grpc://127.0.0.1/m?shared-memory&manifest=a&b.json")
        assert parsed == ServerAddress("127.0.0.1:8001", "m", False, Path("a&b.json"), True)
