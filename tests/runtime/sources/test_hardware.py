"""Decoding on hardware: up to the error, because no machine of the tests has any."""

from pathlib import Path

import pytest
from av.codec.hwaccel import HWAccel

from granet.errors import UserError
from runtime.sources.open import open_source
from runtime.sources.video import hardware
from runtime.sources.video.hardware import DEVICES, hardware_decoder
from tests.media import make_clip


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_that_is_not_there_is_one_line(device: hardware.Hwaccel) -> None:
    try:
        found = hardware_decoder(device, pytest.fail)
    except UserError as error:
        line = str(error)
        assert line.startswith(f"--hwaccel {device}: ") and "\n" not in line
        assert line.endswith("; leave the option out to decode on the CPU")
    else:
        assert isinstance(found, HWAccel) and not found.allow_software_fallback  # type: ignore[attr-defined]
        pytest.skip(f"this machine has {device}")


def test_auto_says_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: [])
    said: list[str] = []
    assert hardware_decoder("auto", said.append) is None
    assert said == ["--hwaccel auto: no hardware decoder works here; decoding on the CPU"]
    assert hardware_decoder("none", pytest.fail) is None


def test_a_codec_that_the_hardware_does_not_decode_is_one_line(tmp_path: Path) -> None:
    """No decoder of FFmpeg reads MPEG-4 on a device of this kind."""
    path = make_clip(tmp_path / "in.mkv", count=3, codec="mpeg4", options={})
    with pytest.raises(UserError, match=r"in\.mkv: the hardware .* cannot decode it; leave --hwaccel"):
        open_source(str(path), pytest.fail, hwaccel=HWAccel("drm", allow_software_fallback=False))
    said: list[str] = []
    with open_source(str(path), said.append, hwaccel=HWAccel("drm", allow_software_fallback=True)) as source:
        assert sum(1 for _ in source.frames("bgr")) == 3
    assert said == [f"{path}: decoded on the CPU: the hardware decoder does not take its codec"]
