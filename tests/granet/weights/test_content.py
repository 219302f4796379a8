"""Checkpoints that ask for more memory, depth or code than their size justifies."""

import argparse
import io
import os
import random
import zipfile
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from granet import GraNet, load_checkpoint, save_checkpoint
from granet.checkpoint import read_checkpoint
from granet.weights.pickle_check import check_pickle
from tests.granet.checkpoints import CONFIG, python, refused
from tests.granet.weights.hostile_pickles import archive, legacy, nested_lists, pickled, small_bombs


class Mode(Enum):
    BEST = "best"


@dataclass
class Options:
    preset: str


class AttributeDict(dict[str, Any]):
    """As many configuration packages have it."""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(11)
    save_checkpoint(tmp_path / "best.pt", GraNet(CONFIG))
    return tmp_path / "best.pt"


def test_small_bombs_take_neither_memory_nor_time(tmp_path: Path) -> None:
    """4 GiB of addresses, torch included, and a minute of processor time are enough for all of them."""
    bombs = small_bombs(tmp_path)
    assert max(path.stat().st_size for path in bombs) < 6 << 20
    said = python(
        "resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (60, 60))\n"
        "for path in sys.argv[1:]:\n"
        "    try: load_checkpoint(path)\n"
        "    except UserError as error: print(error)",
        *bombs,
    )
    assert len(said) == len(bombs)
    for line, (path, reason) in zip(said, bombs.items(), strict=True):
        assert line.startswith(f"{path}: ") and reason in line


def test_the_limits_leave_room_for_what_people_save(tmp_path: Path) -> None:
    """A long log, an optimiser and counters beside the weights are not hostile."""
    torch.manual_seed(0)
    model = GraNet(CONFIG)
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.rand(1, 3, 32, 32)).mean().backward()
    optimiser.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [3, 5])  # has a Counter
    content = {
        "state_dict": model.state_dict(),
        "optimizer": optimiser.state_dict(),
        "lr_schedulers": [schedule.state_dict()],
        "rng": torch.get_rng_state(),
        "losses": [0.25] * 200_000,
        "size": torch.Size([480, 640]),
        "device": torch.device("cuda", 1),
        "dtype": torch.bfloat16,
    }
    torch.save(content, tmp_path / "whole.pt")
    loaded = load_checkpoint(tmp_path / "whole.pt").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("depth", [40, 40 + 1])
def test_the_depth_is_counted_exactly(depth: int) -> None:
    if depth <= 40:
        assert check_pickle(nested_lists(depth)).value.depth == depth
        return
    with pytest.raises(Exception, match="nested more than"):
        check_pickle(nested_lists(depth))


def rewritten(path: Path, **options: Any) -> zipfile.ZipFile:
    """The same archive again, open for more."""
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as source:
        target = zipfile.ZipFile(path, "w", **options)
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    return target


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_two_pickles_is_not_read_twice(checkpoint: Path) -> None:
    """A reader that takes the first entry of a name, and one that takes the last, must not disagree."""
    with rewritten(checkpoint) as target:
        target.writestr("best/data.pkl", pickled({}))
    assert "torch.save did not write" in refused(checkpoint)


def test_an_archive_with_a_second_folder_is_refused(checkpoint: Path) -> None:
    with rewritten(checkpoint) as target:
        target.writestr("other/data.pkl", pickled({}))
    assert "torch.save did not write" in refused(checkpoint)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_archive_is_refused_before_it_is_unpacked(method: int, checkpoint: Path) -> None:
    with rewritten(checkpoint, compression=method) as target:
        target.writestr("best/data/zeros", bytes(10**7))
    assert "it is a compressed archive" in refused(checkpoint)


def test_what_was_checked_is_what_is_loaded(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is opened once; one that is put in its place meanwhile is not looked at."""
    expected = load_checkpoint(checkpoint).state_dict()
    opened = os.open

    def replaced(path: Any, *arguments: Any, **options: Any) -> int:
        descriptor = opened(path, *arguments, **options)
        if Path(path) == checkpoint:
            archive(checkpoint.with_name("other.pt"), pickled({})).replace(checkpoint)
        return descriptor

    monkeypatch.setattr(os, "open", replaced)
    found = load_checkpoint(checkpoint).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_file_that_no_network_can_fill_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "best.pt").open("wb") as file:
        file.truncate(5 << 30)  # takes no room on the disk
    assert "more than any checkpoint of GraNet" in refused(tmp_path / "best.pt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "best.pt")
    assert "not a file" in refused(tmp_path / "best.pt")


def test_a_legacy_file_without_its_magic_number(tmp_path: Path) -> None:
    path = legacy(tmp_path / "best.pt", pickled({}))
    path.write_bytes(pickled(3) + path.read_bytes())
    assert "torch.save did not write" in refused(path)


def test_what_people_save_beside_weights_is_left_alone(tmp_path: Path) -> None:
    state = GraNet(CONFIG).state_dict()
    beside = {
        "args": argparse.Namespace(lr=1e-3, out=Path("runs"), seeds={1, 2}),
        "date": datetime(2026, 11, 27, tzinfo=UTC),
        "psnr": np.linspace(0, 40, 500),
        "classes": frozenset({"rain"}),
        "log": defaultdict(list, {"loss": [np.float32(0.5)]}),
        "last": deque([1, 2], maxlen=2),
        "options": Options("lite"),
        "mode": Mode.BEST,
        "config": AttributeDict(size=AttributeDict(width=640)),
        "best": {np.int64(3): Decimal("33.7")},
        "texts": [np.str_("rain"), np.datetime64("2026-11-26"), np.array(["a", None], object), np.float32],
        "random": [np.random.default_rng(0), np.random.get_state(), random.getstate()],
    }
    for old in (False, True):
        path = tmp_path / "best.pt"
        torch.save({"state_dict": state, **beside}, path, _use_new_zipfile_serialization=not old)
        loaded = read_checkpoint(path)
        assert all(torch.equal(loaded.state[name], state[name]) for name in state)


def test_weights_in_a_collection_of_its_own_kind_are_found(tmp_path: Path) -> None:
    state = GraNet(CONFIG).state_dict()
    for content in (defaultdict(dict, {"state_dict": state}), AttributeDict(model=AttributeDict(state))):
        torch.save(content, tmp_path / "best.pt")
        loaded = read_checkpoint(tmp_path / "best.pt")
        assert all(torch.equal(loaded.state[name], state[name]) for name in state)


def test_an_attribute_with_the_name_of_a_method_hides_no_weights(tmp_path: Path) -> None:
    state = GraNet(CONFIG).state_dict()
    options = Options("lite")
    for name in ("items", "get", "keys", "values"):
        setattr(options, name, 5)
    for content in ({"model": options, "weights": state}, {"anything": options, "mine": state}):
        torch.save(content, tmp_path / "best.pt")
        loaded = read_checkpoint(tmp_path / "best.pt")
        assert all(torch.equal(loaded.state[name], state[name]) for name in state)


def test_what_is_refused_says_how_to_save_the_weights_alone(tmp_path: Path) -> None:
    for beside in (torch.nn.ReLU(), {(1, 2): 3}):
        torch.save({"state_dict": GraNet(CONFIG).state_dict(), "extra": beside}, tmp_path / "best.pt")
        assert "save the weights alone: torch.save(network.state_dict(), FILE)" in refused(
            tmp_path / "best.pt"
        )
