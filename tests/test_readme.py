"""The README's commands succeed unchanged and in order."""

import shutil
from pathlib import Path

import pytest

from tests.documents import README, ROOT, Block, blocks, fresh_checkout, missing_builder, run

COMMANDS = [block for block in blocks(README) if block.language == "bash"]

NOT_RUN = {
    "make test": "this command runs this test",
    "pip install": "it would change the environment that the tests run in",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh checkout in which `make demo` was run: it writes to the real one."""
    folder = fresh_checkout(tmp_path_factory.mktemp("readme"))
    (folder / "demo").symlink_to(ROOT / "demo")
    return folder


@pytest.mark.parametrize("block", [block for block in COMMANDS if block.needs is None], ids=str)
def test_each_block_works_as_it_stands(block: Block, workspace: Path) -> None:
    for start, reason in NOT_RUN.items():
        if block.code.startswith(start):
            pytest.skip(reason)
    if missing_builder(block):
        pytest.skip("no TensorRT is installed on this machine")
    result = run(block, ROOT if block.code.startswith("make ") else workspace)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("block", [block for block in COMMANDS if block.needs is not None], ids=str)
def test_without_a_camera_one_line_says_so(block: Block, workspace: Path) -> None:
    assert block.needs == "a camera"
    if list(Path("/dev").glob("video*")):
        pytest.skip("there is a camera here, which this test must not switch on")
    result = run(block, workspace)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "camera 0" in result.stderr


def test_the_demo_leaves_what_it_promises() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("rain.mp4", "lite.onnx", "lite.onnx.json", "side-by-side.mp4"):
        assert (ROOT / "demo" / name).stat().st_size > 0


def test_two_commands_are_the_set_up() -> None:
    assert [block.code.split("  ")[0] for block in COMMANDS[:2]] == ["make demo", "make test"]
