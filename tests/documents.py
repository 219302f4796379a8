"""The code blocks of the documents, and how the tests run them.

A block whose first line is ``# Needs: ...`` requires what this repository does not have, and is not run. All
others are run as they stand, in the order of their page, in one folder with the files of a fresh checkout.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
MODEL_CARDS = sorted((ROOT / "runtime" / "models").glob("*.md"))

_CHECKOUT = (
    "Makefile",
    "pyproject.toml",
    "docs",
    "granet",
    "calibration",
    "export",
    "runtime",
    "benchmarks",
    "deploy",
)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"""\bgranet-(?:run|export|train|eval|archive) (?:'[^'\n]*'|"[^"\n]*"|[^;|&\n'"])*""")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: the document.
        line: number of its opening fence, from 1.
        language: the word after the fence; empty if there is none.
        code: what is between the fences.
    """

    page: Path
    line: int
    language: str
    code: str

    @property
    def needs(self) -> str | None:
        """Things that the reader must provide; ``None`` if the block runs without changes."""
        found = re.match(r"# Needs: (.+)\n", self.code)
        return found and found[1]

    def __str__(self) -> str:
        """The test's name."""
        return f"{self.page.stem}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in _BLOCK.finditer(text)
    ]


def command_lines(page: Path) -> Iterator[str]:
    """Every command of this project in a page's blocks, indented ones included, without its comment."""
    text = page.read_text(encoding="utf-8")
    indented = "\n".join(line for line in re.sub(r"\\\n", "", text).splitlines() if line.startswith("    "))
    shell = [block.code for block in blocks(page) if block.language == "bash"]
    for code in (*shell, indented):
        for line in re.sub(r"\\\n", "", code).splitlines():
            if not line.lstrip().startswith("#"):
                yield from (found.split(" #")[0].strip() for found in _COMMAND.findall(line))


def fresh_checkout(folder: Path) -> Path:
    """Lays links to what a clone of this repository contains into ``folder``."""
    for name in _CHECKOUT:
        (folder / name).symlink_to(ROOT / name)
    return folder


def run(block: Block, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Runs a block in ``folder``; the first command that fails ends it."""
    program = (
        [sys.executable, "-c"] if block.language == "python" else ["bash", "-eu", "-o", "pipefail", "-c"]
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    if folder != ROOT:
        environment["XDG_CACHE_HOME"] = str(folder / ".cache")  # a cached engine would hide a failing build
    return subprocess.run(
        [*program, block.code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )


def missing_builder(block: Block) -> bool:
    """Whether the block builds an engine and no TensorRT is installed."""
    installed = any(find_spec(name) for name in ("tensorrt", "tensorrt_rtx"))
    return "granet-export trt" in block.code and not installed
