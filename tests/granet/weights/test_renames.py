"""``--map OLD=NEW``: names of another program's weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

from granet import GraNet, load_checkpoint
from granet.app.console import UsageError
from granet.errors import UserError
from granet.weights.renames import parse_renames
from tests.granet.foreign_weights import loaded, prefixed, same, weights


def mapped(content: Any, folder: Path, *texts: str) -> GraNet:
    torch.save(content, folder / "foreign.pt")
    return load_checkpoint(folder / "foreign.pt", parse_renames(texts))


def test_names_of_another_program_are_mapped_by_prefix_and_star(tmp_path: Path) -> None:
    def foreign(name: str) -> str:
        stage, part, *rest = name.split(".")
        return ".".join([{"coarse": "stage1", "fine": "stage2"}[stage], f"{part}s", *rest])

    state = {foreign(name): value for name, value in weights().items()}
    assert same(
        mapped(state, tmp_path, *(
            f"{foreign(f'{stage}.{part}')}={stage}.{part}"
            for stage, part in sorted({tuple(name.split(".")[:2]) for name in weights()})
        )),
        weights(),
    )  # fmt: skip
    renamed = {
        name.replace("coarse.local.", "enc.").replace(".layers.", ".conv."): value
        for name, value in weights().items()
    }
    texts = (
        "enc.*.conv=coarse.local.*.layers",
        "enc=coarse.local",
        "fine.blocks.*.conv=fine.blocks.*.layers",
    )
    assert same(mapped(renamed, tmp_path, *texts), weights())


def test_the_whole_name_and_a_swap(tmp_path: Path) -> None:
    state = weights()
    one, two = "coarse.head.bias", "coarse.mask.bias"
    swapped = {{one: two, two: one}.get(name, name): value for name, value in state.items()}
    assert same(mapped(swapped, tmp_path, f"{one}={two}", f"{two}={one}"), state)


def test_a_name_may_be_that_of_the_file_or_that_without_its_wrappers(tmp_path: Path) -> None:
    state = {f"module.{name}".replace("coarse.head", "coarse.first"): v for name, v in weights().items()}
    for old in ("module.coarse.first", "coarse.first"):
        assert same(mapped(state, tmp_path, f"{old}=coarse.head"), weights())


def test_one_of_two_sets_is_chosen_by_removing_its_prefix(tmp_path: Path) -> None:
    both = {**prefixed("student.", weights(1)), **prefixed("teacher.", weights(2))}
    with pytest.raises(
        UserError,
        match=r"two sets of weights \(student, teacher\): python -m .* --map student= chooses one",
    ):
        loaded(both, tmp_path)
    assert same(mapped(both, tmp_path, "teacher="), weights(2))


def test_a_choice_of_the_user_goes_before_the_average(tmp_path: Path) -> None:
    both = {**prefixed("online_model.", weights(1)), **prefixed("ema_model.", weights(2))}
    assert same(loaded(both, tmp_path), weights(2))
    assert same(mapped(both, tmp_path, "online_model="), weights(1))


@pytest.mark.parametrize(
    "text", ["nothing.here=coarse.head", "coarse.hea=coarse.head", "*.*.*.*.*.*.*=a.*.*.*.*.*.*.*"]
)
def test_a_map_that_no_name_needs_is_a_usage_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        mapped(weights(), tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/foreign.pt: --map {text} matches none of its names")


@pytest.mark.parametrize("text", ["a", "=a", "a.*=b", "a=b.*", "a..b=c", "a=b..c", "", "=", "."])
def test_a_malformed_map_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--map"):
        parse_renames([text])


def test_the_same_names_cannot_be_mapped_twice() -> None:
    with pytest.raises(UsageError, match="a is mapped twice"):
        parse_renames(["a=b", "a=c"])


def test_two_names_are_not_mapped_to_one(tmp_path: Path) -> None:
    state = {**weights(), "spare.weight": torch.zeros(6, 3, 3, 3)}
    with pytest.raises(UserError, match=r"coarse\.head\.weight occurs twice"):
        mapped(state, tmp_path, "spare=coarse.head")
