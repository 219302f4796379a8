"""``granet-eval``: an option that a run would not use is a usage error that names both sides."""

import pytest
import typer

from granet.app import command
from granet.app.console import run_app
from runtime.evaluation.cli import app

VALUES = {
    "ckpt": "a.pt", "model": "lite", "data": "drawn:2", "clean": "dry", "limit": "3", "figure6": "6.png",
    "figure7": "7.png", "figure8": "8.png", "images": "photos", "pick": "a", "device": "cpu",
    "backend": "openvino",
}  # fmt: skip
"""A value for each option that takes one."""

USED = ("--fixed-camera", "--ckpt", "--map", "--model", "--limit", "--json", "--device", "--backend")
EVERYWHERE = (*command.EVERYWHERE, "--help", "--version", "--install-completion", "--show-completion")
UNUSED = [
    parameter.opts[0]
    for parameter in typer.main.get_command(app).params
    if parameter.opts[0] not in (*USED, *EVERYWHERE)
]


@pytest.mark.parametrize("option", UNUSED)
def test_a_fixed_camera_is_measured_alone(option: str, capfd: pytest.CaptureFixture[str]) -> None:
    name = option.removeprefix("--")
    values = [option, VALUES[name]] if name in VALUES else [option]
    assert run_app(app, ["--fixed-camera", "clip", "--model", "lite", *values]) == 2
    assert f"error: {option} with --fixed-camera: " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        *(
            (f"--ckpt a.pt --clean dry {option}", f"{option.split()[0]} without --data: ")
            for option in (
                "--table1",
                "--table2",
                "--table3",
                "--tables",
                "--figure7 7.png",
                "--figure8 8.png",
            )
        ),
        ("--model a.onnx --data drawn:2 --table3", "--table3 without --ckpt: "),
        ("--model a.onnx --data drawn:2 --figure7 7.png", "--figure7 without --ckpt: "),
        ("--model a.onnx --images photos --figure6 6.png", "--figure6 without --ckpt: "),
        ("--ckpt a.pt --data drawn:2 --tables --table1", "--table1 with --tables: "),
        ("--ckpt a.pt --data drawn:2 --tables --table3", "--table3 with --tables: "),
        ("--ckpt a.pt --data drawn:2 --json --table1", "--table1 with --json: "),
        ("--ckpt a.pt --data drawn:2 --json --table2", "--table2 with --json: "),
        ("--model a.onnx --data drawn:2 --json --tables", "--tables with --json: "),
        ("--ckpt a.pt --figure6 6.png", "--figure6 without --images: "),
        ("--ckpt a.pt --data drawn:2 --images photos", "--images without --figure6: "),
        ("--ckpt a.pt --data drawn:2 --pick 1", "--pick without --figure6: "),
        (
            "--ckpt a.pt --data drawn:2 --images photos --figure6 6.png --figure7 7.png --pick 1",
            "--pick with --figure6 and --figure7: ",
        ),
        ("--ckpt a.pt --data drawn:2 --overwrite", "--overwrite without --figure6, --figure7 or --figure8: "),
        ("--ckpt a.pt --images photos --figure6 6.png --limit 3", "--limit without --data, --clean or "),
        ("--ckpt a.pt --data drawn:2 --figure7 7.png --limit 3", "--limit without --data, --clean or "),
        ("--ckpt a.pt --data drawn:2 --backend openvino", "--backend openvino with --ckpt a.pt: "),
        ("--model a.onnx --data drawn:2 --backend torch", "--backend torch with --model a.onnx: "),
        ("--model lite --data drawn:2 --backend torch", "--backend torch with --model lite: "),
        ("--ckpt a.pt --model b.onnx --data drawn:2 --table3", "--model b.onnx with --table3: "),
        ("--ckpt a.pt --model lite --images photos --figure6 6.png", "--model lite with --figure6: "),
        ("--ckpt a.pt --ckpt b.pt --data drawn:2 --figure7 7.png", "--ckpt b.pt with --figure7: "),
        ("--ckpt a.pt --model b.safetensors --images photos --figure6 6.png", "--model b.safetensors with "),
        ("--model a.pt --model b.pt --data drawn:2 --figure7 7.png", "--model b.pt with --figure7: "),
        ("--model lite --clean a --clean b", "--clean is given 2 times"),
    ],
)
def test_an_unused_option_names_the_other_one(
    line: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_app(app, line.split()) == 2
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err.startswith(f"error: {message}")
    assert len(captured.err.splitlines()) == 1
