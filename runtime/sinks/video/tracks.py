"""Copies the properties of tracks and chapters, and lists those that the container cannot hold."""

import re
from collections.abc import Mapping

from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from runtime.sources.base import StreamInfo, Track

_IN_WEBM = Disposition.default | Disposition.forced
_IN_MATROSKA = (
    _IN_WEBM | Disposition.dub | Disposition.original | Disposition.comment
    | Disposition.hearing_impaired | Disposition.visual_impaired
)  # fmt: skip
_IN_MP4 = (_IN_MATROSKA | Disposition.captions | Disposition.descriptions) & ~Disposition.original

_FLAGS = {
    "matroska": _IN_MATROSKA,
    "webm": _IN_WEBM,
    "mp4": _IN_MP4,
    "mov": Disposition.default,
    "avi": Disposition(0),
}
"""Format -> flags of a track that its muxer writes."""

_LANGUAGE = {"avi": re.compile("(?!)"), "mp4": re.compile("[a-z]{3}"), "mov": re.compile("[a-z]{3}")}
"""Format -> languages that it can hold; any for the others. MP4 and QuickTime have three letters for it."""

_CHAPTERS = {"matroska", "webm", "mp4", "mov"}
_UNKNOWN = ("", "und")


def carry_over(
    container: OutputContainer, info: StreamInfo, video: VideoStream, sounds: Mapping[int, AudioStream]
) -> None:
    """Gives the tracks their languages, titles and flags, and the container its chapters.

    Args:
        container: an output without packets so far.
        info: info of the source.
        video: its video stream.
        sounds: index of an audio stream in the source -> stream of the output.
    """
    flags = _FLAGS.get(container.format.name, Disposition(0))
    described = [(video, info.video)] if info.video is not None else []
    for stream, track in [*described, *((sounds[source.index], Track.of(source)) for source in info.sound)]:
        stream.disposition = track.flags & flags
        stream.metadata.update(track.labels)
    if info.chapters and container.format.name in _CHAPTERS:
        container.set_chapters(list(info.chapters))


def losses(format_name: str, encoder: str, info: StreamInfo) -> list[str]:
    """The properties of tracks and chapters that a container of that format cannot hold, for display."""
    if format_name not in _FLAGS:
        return []
    tracks = [track for track in (info.video, *map(Track.of, info.sound)) if track is not None]
    lost = []
    if info.chapters and format_name not in _CHAPTERS:
        lost.append(f"{len(info.chapters)} chapters")
    if flags := _lost_flags(format_name, info, tracks):
        lost.append(f"the track flags {', '.join(flags)}")
    fits = _LANGUAGE.get(format_name)
    languages = [track.labels.get("language", "") for track in tracks]
    if fits and any(name not in _UNKNOWN and not fits.fullmatch(name) for name in languages):
        lost.append("the languages of the tracks")
    if info.hdr.parameters and encoder not in info.hdr.parameters:
        lost.append("the HDR metadata of the mastering display")
    return lost


def _lost_flags(format_name: str, info: StreamInfo, tracks: list[Track]) -> list[str]:
    lost = Disposition(0)
    for track in tracks:
        lost |= track.flags & ~_FLAGS[format_name]
    # A container without the flag plays its first track.
    flagged = [bool(Track.of(stream).flags & Disposition.default) for stream in info.sound]
    if not any(flagged[1:]) or flagged[0]:
        lost &= ~Disposition.default
    return [flag.name or "" for flag in Disposition if flag & lost]
