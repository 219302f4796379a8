"""Files with several pictures: all of them are read, or one line says which are left out."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from granet.app.console import UsageError
from granet.data.image_files import read_rgb
from granet.errors import UserError
from runtime.sources import open as opening
from runtime.sources.open import open_source
from runtime.sources.pictures import heif
from runtime.sources.pictures.heif import HEIF_SUFFIXES
from runtime.sources.pictures.source import PictureSource
from runtime.sources.video import stream_info
from tests.media import make_clip, number_of, numbered, read_clip, write_picture
from tests.runtime.sinks.test_pictures import files_in, run

COUNT = 5
ANIMATIONS = [".webp", ".png", ".avif", ".gif"]


def save_all(path: Path, size: tuple[int, int] = (48, 64), **settings: Any) -> Path:
    """Several numbered pictures in one file, as Pillow writes them."""
    images = [Image.fromarray(numbered(i, *size)) for i in range(COUNT)]
    images[0].save(path, save_all=True, append_images=images[1:], **settings)
    return path


def animation(path: Path) -> Path:
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    return save_all(path, duration=100, **lossless)


def read_all(path: Path) -> tuple[list[int], list[str]]:
    said: list[str] = []
    with open_source(str(path), said.append) as source:
        return [number_of(frame.pixels) for frame in source.frames("bgr")], said


@pytest.mark.parametrize("suffix", ANIMATIONS)
def test_an_animation_becomes_a_video(tmp_path: Path, suffix: str) -> None:
    run(animation(tmp_path / f"in{suffix}"), tmp_path / "out.mkv")
    clip = read_clip(tmp_path / "out.mkv")
    assert [number_of(frame) for frame in clip.frames] == list(range(COUNT))
    assert [float(b - a) for a, b in pairwise(clip.times)] == pytest.approx([0.1] * (COUNT - 1))


@pytest.mark.parametrize("settings", [{"quality": 95}, {"lossless": True}])
@pytest.mark.parametrize("alpha", [(), (255,), (99,)])
def test_every_kind_of_webp_animation_is_read(
    tmp_path: Path, settings: dict[str, Any], alpha: tuple[int, ...]
) -> None:
    """OpenCV returns three channels of a file without transparency and four of one with it."""
    images = [
        Image.fromarray(np.dstack([numbered(i), *(np.full((48, 64), a, np.uint8) for a in alpha)]))
        for i in range(COUNT)
    ]
    path = tmp_path / "a.webp"
    images[0].save(path, save_all=True, append_images=images[1:], duration=100, **settings)
    numbers, said = read_all(path)
    assert numbers == list(range(COUNT))
    assert said == (["video transparency is dropped"] if alpha == (99,) else [])


def test_a_truncated_animation_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = animation(tmp_path / "a.png")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"fdAT") + 20])
    numbers, said = read_all(path)
    assert numbers == list(range(COUNT - 1))
    assert len(said) == 1 and said[0].startswith(f"{path}: is damaged")
    with pytest.raises(UserError, match="is damaged or truncated after frame"):
        list(open_source(str(path), print, strict=True).frames("bgr"))


def test_a_gif_without_its_end_is_told(tmp_path: Path) -> None:
    path = animation(tmp_path / "a.gif")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"\x21\xf9")])
    numbers, said = read_all(path)
    assert numbers == list(range(COUNT - 1))
    assert f"{path}: may be truncated: its end mark is missing" in said


@pytest.mark.parametrize("suffix", ANIMATIONS)
def test_an_animation_becomes_numbered_pictures_but_not_one(tmp_path: Path, suffix: str) -> None:
    path = animation(tmp_path / f"in{suffix}")
    run(path, tmp_path / "out")
    assert files_in(tmp_path / "out") == [f"{number:06d}.png" for number in range(1, COUNT + 1)]
    with pytest.raises(UsageError, match="the input has several; use a directory"):
        run(path, tmp_path / "one.png")
    assert not (tmp_path / "one.png").exists()


@pytest.mark.parametrize("suffix", [".webp", ".png", ".avif"])
def test_the_first_frame_among_other_pictures_is_noted(tmp_path: Path, suffix: str) -> None:
    animation(tmp_path / f"a{suffix}")
    write_picture(tmp_path / "b.png", numbered(3))
    numbers, said = read_all(tmp_path)
    assert numbers == [0, 3]
    assert len(said) == 1 and f"a{suffix}: has several frames; only the first" in said[0]


def test_durations_of_webp_are_its_own(tmp_path: Path) -> None:
    path = save_all(tmp_path / "a.webp", duration=[40, 0, 200, 40, 40], lossless=True)
    with open_source(str(path), print) as source:
        times = [frame.pts for frame in source.frames("rgb")]
    # A frame without a duration is shown as long as browsers show it.
    assert times == [0, 40, 140, 340, 380]


def test_the_orientation_of_a_webp_turns_all_its_frames(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8  # to be turned by 90 degrees counterclockwise
    path = save_all(tmp_path / "a.webp", duration=100, lossless=True, exif=exif.tobytes())
    with open_source(str(path), print) as source:
        frames = [frame.pixels for frame in source.frames("rgb")]
        assert source.info.size == (64, 48)
    expected = [np.rot90(numbered(number)) for number in range(COUNT)]
    np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize("clear", [False, True])
def test_transparency_of_webp_is_noted_once(tmp_path: Path, clear: bool) -> None:
    alpha = np.full((48, 64), 99 if clear else 255, np.uint8)
    images = [Image.fromarray(np.dstack([numbered(i), alpha])) for i in range(3)]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], lossless=True)
    assert read_all(tmp_path / "a.webp")[1] == (["video transparency is dropped"] if clear else [])


def test_a_long_webp_is_decoded_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.sources.pictures.webp_animation._MEMORY", 2 * 4 * 48 * 64)
    assert read_all(animation(tmp_path / "a.webp"))[0] == list(range(COUNT))


def test_a_webp_with_too_few_frames_is_damaged(tmp_path: Path) -> None:
    path = animation(tmp_path / "a.webp")
    data = path.read_bytes()
    last = data.rindex(b"VP8L")
    path.write_bytes(data[:last] + b"VP8L" + data[last + 4 : last + 8] + b"\0" * (len(data) - last - 8))
    with pytest.raises(UserError, match=r"a\.webp: is damaged"):
        read_all(path)


@pytest.mark.parametrize("settings", [{}, {"big_tiff": True}])
def test_all_pages_of_a_tiff_are_read(tmp_path: Path, settings: dict[str, Any]) -> None:
    path = save_all(tmp_path / "pages.tiff", **settings)
    assert read_all(path) == (list(range(COUNT)), [])
    run(path, tmp_path / "out")
    assert files_in(tmp_path / "out") == [f"pages-{number}.tiff" for number in range(1, COUNT + 1)]
    assert number_of(cv2.imread(str(tmp_path / "out" / "pages-4.tiff"))) == 3
    with pytest.raises(UsageError, match="the input has several; use a directory"):
        run(path, tmp_path / "one.tiff")


def test_a_smaller_version_in_a_tiff_is_not_a_page(tmp_path: Path) -> None:
    small = Image.fromarray(numbered(1, 24, 32))
    small.encoderinfo = {"tiffinfo": {254: 1}}  # type: ignore[attr-defined]
    path = tmp_path / "a.tiff"
    Image.fromarray(numbered(4)).save(path, save_all=True, append_images=[small])
    assert read_all(path) == ([4], [])


def test_a_thumbnail_in_front_is_not_the_picture(tmp_path: Path) -> None:
    """Cameras write it first; it has another size and less detail."""
    small = Image.fromarray(numbered(1, 24, 32))
    big = Image.fromarray(numbered(4))
    path = tmp_path / "a.tiff"
    small.save(path, save_all=True, append_images=[big], tiffinfo={254: 1})
    big.encoderinfo = {"tiffinfo": {254: 0}}  # type: ignore[attr-defined]
    small.save(path, save_all=True, append_images=[big], tiffinfo={254: 1})
    assert read_all(path) == ([4], [])
    np.testing.assert_array_equal(read_rgb(path), numbered(4))


@pytest.mark.parametrize("suffix", [".ppm", ".pgm", ".pbm"])
def test_all_pictures_of_a_netpbm_file_are_read(tmp_path: Path, suffix: str) -> None:
    """ppm(5): a file is a sequence of one or more images, with no delimiters between them."""
    parts = []
    for index in (2, 5, 9):
        pixels = numbered(index, 24, 33)
        if suffix == ".pbm":
            bits = np.packbits(pixels[..., 0] < 128, axis=1)
            parts.append(b"P4 # a comment\n33\n24\n" + bits.tobytes())
        elif suffix == ".pgm":
            parts.append(b"P5\n# a comment\n33 24 255\n" + pixels[..., 0].tobytes())
        else:
            parts.append(b"P6 33 24\n255\n" + pixels[..., ::-1].tobytes())
    (tmp_path / f"a{suffix}").write_bytes(b"".join(parts))
    numbers, said = read_all(tmp_path / f"a{suffix}")
    if suffix == ".pbm":
        assert len(numbers) == 3 and not said
    else:
        assert (numbers, said) == ([2, 5, 9], [])
    (tmp_path / "other.png").write_bytes(write_picture(tmp_path / "b.png", numbered(1)).read_bytes())
    _, said = read_all(tmp_path)
    assert [line for line in said if f"a{suffix}: has 3 pages; only the first" in line] == said and said


def test_the_second_view_of_a_jpeg_is_noted(tmp_path: Path) -> None:
    """Also what a phone adds: a gain map for HDR screens."""
    save_all(tmp_path / "a.mpo")
    path = (tmp_path / "a.mpo").rename(tmp_path / "a.jpg")
    numbers, said = read_all(path)
    assert numbers == [0] and len(said) == 1 and "more than one picture" in said[0]


@pytest.mark.parametrize("gap", [b"", bytes(7)])
def test_a_jpeg_that_was_joined_to_another_is_noted(tmp_path: Path, gap: bytes) -> None:
    first, second = (cv2.imencode(".jpg", numbered(number))[1].tobytes() for number in (1, 2))
    (path := tmp_path / "a.jpg").write_bytes(first + gap + second)
    numbers, said = read_all(path)
    assert numbers == [1] and len(said) == 1 and "more than one picture" in said[0]


@pytest.mark.parametrize("kind", [b"mpvd", b"moov"])
def test_what_moves_beside_a_heic_picture_is_noted(tmp_path: Path, kind: bytes) -> None:
    """The video of a motion photo, and the tracks of a sequence."""
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "a.heic"
    pillow_heif.from_pillow(Image.fromarray(numbered(7))).save(path)
    data = path.read_bytes() + box(kind, bytes(64))
    said: list[str] = []
    heif.read_heif(path, data, "bgr", 0, "a", said.append)
    assert said == ["some HEIC files hold a video or a sequence too; only the main picture is used"]


@pytest.mark.parametrize("name", ["a.heic", "a.heif"])
def test_a_heic_sequence_without_a_picture_is_a_video(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / "a.mp4", count=4, codec="libx265", options={"x265-params": "lossless=1"})
    data = clip.read_bytes()
    (tmp_path / name).write_bytes(data[:8] + b"msf1" + data[12:])
    numbers, said = read_all(tmp_path / name)
    assert numbers == [0, 1, 2, 3] and not said


def test_the_video_of_a_motion_photo_is_told(tmp_path: Path) -> None:
    video = make_clip(tmp_path / "a.mp4", count=2).read_bytes()
    (path := tmp_path / "a.jpg").write_bytes(cv2.imencode(".jpg", numbered(1))[1].tobytes() + video)
    said: list[str] = []
    with open_source(str(path), said.append) as source:
        assert len(list(source.frames("bgr"))) == 1
    assert len(said) == 1 and "or a video" in said[0]


def test_ordinary_pictures_need_no_line(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png", ".webp", ".tiff", ".ppm", ".avif"):
        Image.fromarray(numbered(3)).save(tmp_path / f"a{suffix}")
    assert read_all(tmp_path) == ([3] * 6, [])


def box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def write_tiles(path: Path) -> Path:
    """A HEIC of 2 x 1 tiles, made of boxes (ISO/IEC 23008-12); the tiles are not pictures of their own."""
    ids = [1, 2, 3]
    entries = [
        box(b"infe", b"\2\0\0\0" + i.to_bytes(2, "big") + b"\0\0" + (b"grid" if i == 1 else b"hvc1") + b"\0")
        for i in ids
    ]
    iinf = box(b"iinf", bytes(4) + len(ids).to_bytes(2, "big") + b"".join(entries))
    iref = box(b"iref", bytes(4) + box(b"dimg", b"\0\1\0\2\0\2\0\3"))
    hdlr = box(b"hdlr", bytes(8) + b"pict" + bytes(13))
    pitm = box(b"pitm", bytes(4) + b"\0\1")
    hvcc = bytes.fromhex("0101600000009000000000005af000fcfdf8f800000f00")
    ispe = [box(b"ispe", bytes(4) + w.to_bytes(4, "big") + (64).to_bytes(4, "big")) for w in (128, 64)]
    ipco = box(b"ipco", ispe[0] + ispe[1] + box(b"hvcC", hvcc))
    links = b"\0\1\1\1" + b"\0\2\2\2\x83" + b"\0\3\2\2\x83"
    iprp = box(b"iprp", ipco + box(b"ipma", bytes(4) + (3).to_bytes(4, "big") + links))
    idat = box(b"idat", b"\0\0\0\1" + (128).to_bytes(2, "big") + (64).to_bytes(2, "big"))
    ftyp = box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")

    def meta(at: int) -> bytes:
        # Version 1: with a construction method, 1 for the grid, which lies in idat; 0 for the tiles.
        places = [(1, 1, 0, 8), (2, 0, at, 16), (3, 0, at + 16, 16)]
        items = b"".join(
            i.to_bytes(2, "big") + how.to_bytes(2, "big") + b"\0\0\0\1"
            + where.to_bytes(4, "big") + size.to_bytes(4, "big")
            for i, how, where, size in places
        )  # fmt: skip
        iloc = box(b"iloc", b"\1\0\0\0\x44\0\0\3" + items)
        return box(b"meta", bytes(4) + hdlr + pitm + iloc + iinf + iref + iprp + idat)

    path.write_bytes(ftyp + meta(len(ftyp) + len(meta(0)) + 8) + box(b"mdat", bytes(32)))
    return path


@pytest.mark.parametrize("name", ["a.heic", "a.mp4", "b.heif"])
def test_tiles_are_refused_without_the_package(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "can_read_heif", lambda: False)
    monkeypatch.setattr(stream_info, "can_read_heif", lambda: False)
    with pytest.raises(UserError, match=r"HEIC picture in tiles.*pip install pillow-heif") as caught:
        open_source(str(write_tiles(tmp_path / name)), print)
    assert "\n" not in str(caught.value)


def test_tiles_under_another_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_info, "can_read_heif", lambda: True)
    with pytest.raises(
        UserError, match=r"HEIC picture in tiles; save it as a file whose name ends in \.heic"
    ):
        open_source(str(write_tiles(tmp_path / "a.mp4")), print)


def test_a_folder_with_heic_is_not_read_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("granet.app.extras.find_spec", lambda name: None)
    write_picture(tmp_path / "a.png", numbered(1))
    for suffix in HEIF_SUFFIXES:
        path = write_tiles(tmp_path / f"b{suffix}")
        with pytest.raises(UserError, match="pip install pillow-heif"):
            PictureSource(str(tmp_path), print)
        path.unlink()


@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_is_read_whole(tmp_path: Path, orientation: int) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0132], exif[0x0112] = "2026:05:01 12:00:00", orientation
    image = pillow_heif.from_pillow(Image.fromarray(numbered(7, 96, 128)))
    image.save(tmp_path / "a.heic", quality=95, exif=exif.tobytes(), tile_size=64)
    assert run(tmp_path / "a.heic", tmp_path / "out.png") == []
    with Image.open(tmp_path / "out.png") as written:
        assert written.size == ((128, 96) if orientation == 1 else (96, 128))
        assert written.getexif()[0x0132] == "2026:05:01 12:00:00"
        assert written.getexif().get(0x0112, 1) == 1
        corner = np.asarray(written)[4, 4 if orientation == 1 else -4]
    assert corner.min() > 200
    run(tmp_path / "*.heic", tmp_path / "out")
    assert files_in(tmp_path / "out") == ["a.heic.png"]


def test_a_damaged_heic_is_refused_with_one_line(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    for data in (b"no picture", write_tiles(tmp_path / "tiles.heic").read_bytes()):
        (tmp_path / "a.heic").write_bytes(data)
        with pytest.raises(UserError, match=r"a\.heic: is damaged"):
            read_all(tmp_path / "a.heic")


@pytest.mark.parametrize("suffix", [".tiff", ".webp"])
def test_a_picture_without_end_is_not_read(tmp_path: Path, suffix: str) -> None:
    with (path := tmp_path / f"a{suffix}").open("wb") as sparse:
        sparse.truncate(2**40)
    with open_source(str(path), print) as source, pytest.raises(UserError, match="is too large"):
        next(source.frames("bgr"))
