"""The padding rule is compared with its definition, for every usual side of a frame."""

import pytest

from granet.errors import UserError
from granet.size_rule import SizeRule

SIDES = [*range(16, 140), *range(500, 530), *range(1000, 1100), 1280, 1536, 1537, 1920, 2160, 3840]
RULES = [
    SizeRule(multiple, extent)
    for multiple in (8, 16, 32)  # frames that are not folded, folded 2x2, and 4x4
    for extent in (8, 16, 32, 64, 512, None)
    if extent is None or extent % multiple == 0
]
of_each_rule = pytest.mark.parametrize("rule", RULES, ids=str)


def sides(rule: SizeRule) -> list[int]:
    """All of SIDES that are large enough."""
    return [side for side in SIDES if side >= rule.multiple]


def fits(side: int, rule: SizeRule) -> bool:
    """Whether cells of ``multiple`` pixels fill ``side`` evenly in every region, as the design says."""
    grids = 1 if rule.extent is None else -(-side // rule.extent)
    return side % grids == 0 and (side // grids) % rule.multiple == 0


@of_each_rule
def test_a_padded_side_is_the_next_one_that_fits(rule: SizeRule) -> None:
    for side in sides(rule):
        padded = rule.padded_side(side)
        assert padded >= side and fits(padded, rule)
        assert not any(fits(smaller, rule) for smaller in range(side, padded))


@of_each_rule
def test_padding_is_idempotent_and_keeps_the_grid(rule: SizeRule) -> None:
    for side in sides(rule):
        padded = rule.padded_side(side)
        assert rule.padded_side(padded) == padded
        assert rule.grid_growth(padded) == rule.grid_growth(side)


@of_each_rule
def test_reflection_always_has_the_pixels_it_needs(rule: SizeRule) -> None:
    assert all(rule.padded_side(side) - side < side for side in sides(rule))


@pytest.mark.parametrize(
    ("size", "padded"),
    [
        ((321, 481), (328, 488)),  # Rain100L
        ((480, 640), (480, 640)),
        ((512, 512), (512, 512)),
        ((513, 512), (528, 512)),
        ((720, 1280), (720, 1296)),
        ((1080, 1920), (1080, 1920)),
        ((2160, 3840), (2160, 3840)),
    ],
)
def test_sizes_of_the_field(size: tuple[int, int], padded: tuple[int, int]) -> None:
    assert SizeRule().padded_size(*size) == padded


@pytest.mark.parametrize(
    ("size", "padded"),
    [
        ((321, 481), (336, 496)),  # Rain100L
        ((480, 640), (480, 640)),
        ((513, 512), (544, 512)),
        ((720, 1280), (736, 1296)),
        ((1080, 1920), (1104, 1920)),
        ((16, 16), (16, 16)),
    ],
)
def test_sizes_of_the_field_on_folded_frames(size: tuple[int, int], padded: tuple[int, int]) -> None:
    assert SizeRule(16, 512).padded_size(*size) == padded


@pytest.mark.parametrize(("multiple", "least"), [(8, 16), (16, 16), (24, 24), (32, 32)])
def test_the_smallest_frame_is_one_that_can_be_padded(multiple: int, least: int) -> None:
    rule = SizeRule(multiple, None)
    assert rule.padded_size(least, least + 1) == (least, 2 * multiple if least == multiple else 24)
    with pytest.raises(UserError, match=f"this GraNet needs at least {least}x{least}"):
        rule.padded_size(least - 1, 64)


@pytest.mark.parametrize("size", [(15, 64), (64, 15), (0, 0), (1, 1)])
def test_a_frame_that_is_too_small_is_refused_by_its_size(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=f"{size[1]}x{size[0]} pixels is too small"):
        SizeRule().padded_size(*size)


@pytest.mark.parametrize("multiple", [0, -8, True, 8.0, "8", None])
def test_an_absurd_multiple_is_refused(multiple: object) -> None:
    with pytest.raises(UserError, match="size multiple"):
        SizeRule(multiple=multiple)  # type: ignore[arg-type]


@pytest.mark.parametrize("extent", [0, -512, 500, True, 512.0, "512"])
def test_an_absurd_extent_is_refused(extent: object) -> None:
    with pytest.raises(UserError, match="region extent"):
        SizeRule(extent=extent)  # type: ignore[arg-type]
