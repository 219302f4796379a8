"""The padding rule, held against its definition: every side that anyone films in."""

import pytest

from granet.errors import UserError
from granet.size_rule import SizeRule

SIDES = [*range(16, 140), *range(500, 530), *range(1000, 1100), 1280, 1536, 1537, 1920, 2160, 3840]
EXTENTS = [8, 16, 64, 512, None]


def fits(side: int, extent: int | None) -> bool:
    """Whether 8 x 8 cells fill ``side`` evenly in every region, by the definition in the design."""
    grids = 1 if extent is None else -(-side // extent)
    return side % grids == 0 and (side // grids) % 8 == 0


@pytest.mark.parametrize("extent", EXTENTS)
def test_a_padded_side_is_the_next_one_that_fits(extent: int | None) -> None:
    rule = SizeRule(8, extent)
    for side in SIDES:
        padded = rule.padded_side(side)
        assert padded >= side and fits(padded, extent)
        assert not any(fits(smaller, extent) for smaller in range(side, padded))


@pytest.mark.parametrize("extent", EXTENTS)
def test_padding_is_idempotent_and_keeps_the_grid(extent: int | None) -> None:
    rule = SizeRule(8, extent)
    for side in SIDES:
        padded = rule.padded_side(side)
        assert rule.padded_side(padded) == padded
        assert rule.grid_growth(padded) == rule.grid_growth(side)


@pytest.mark.parametrize("extent", EXTENTS)
def test_reflection_always_has_the_pixels_it_needs(extent: int | None) -> None:
    rule = SizeRule(8, extent)
    assert all(rule.padded_side(side) - side < side for side in SIDES)


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
