"""The ways to write an audio stream into a container."""

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer

from runtime.sources.base import SoundPacket
from runtime.sources.sound_packets import copied

_PCM = "pcm_s16le"
"""Every container that holds any uncompressed sound holds this."""

_SIXTEEN_BITS = ("pcm_mulaw", "pcm_alaw", "pcm_s8", "pcm_u8", "pcm_s16", "pcm_u16")
"""Beginnings of the names of codecs that decode to at most 16 bits."""

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
"""Number of channels -> usual layout."""

_HOLDERS = ("nut", "matroska", "mov", "asf", "flv")

_ADTS = 0xFFF
"""First 12 bits of an AAC packet with a header of its own, as in a broadcast (ISO/IEC 14496-3)."""


class SoundWay(ABC):
    """Converts packets of a source's audio stream to packets for muxing.

    Args:
        container: output container to which nothing has been written yet.
        source: audio stream of the source.
        samples: its first packets, as far as they are known.

    Attributes:
        stream: the stream of the output container.

    Raises:
        ValueError: if this way does not work for the stream.
        av.FFmpegError: the same.
    """

    copies: ClassVar[bool] = True
    """Whether the packets are copied, not decoded."""

    lossless: ClassVar[bool] = True
    """Whether the result is certainly the same sound."""

    stream: AudioStream

    @abstractmethod
    def __init__(
        self, container: OutputContainer, source: AudioStream, samples: Sequence[SoundPacket]
    ) -> None: ...

    def coded(self, packet: SoundPacket) -> list[SoundPacket]:
        """The packets to mux for ``packet``, which may be modified.

        Raises:
            av.FFmpegError: if the packet is damaged.
        """
        packet.stream = self.stream
        return [packet]

    def rest(self) -> list[SoundPacket]:
        """The packets to mux at the end."""
        return []


class Copy(SoundWay):
    """Copies the packets."""

    def __init__(
        self, container: OutputContainer, source: AudioStream, samples: Sequence[SoundPacket]
    ) -> None:
        bare = source.codec_context.name == "aac" and not source.codec_context.extradata
        if bare and not samples and container.format.name not in ("matroska", "nut"):
            raise ValueError("the header of AAC is in its packets, and there are none yet")
        self.stream = container.add_stream_from_template(source)


class CopyAdts(SoundWay):
    """Copies AAC of a broadcast: its header moves from the packets into the container."""

    def __init__(
        self, container: OutputContainer, source: AudioStream, samples: Sequence[SoundPacket]
    ) -> None:
        if source.codec_context.name != "aac" or not any(map(_is_adts, samples)):
            raise ValueError("not AAC with headers in its packets")
        self.stream = container.add_stream_from_template(source)
        self.stream.codec_context.extradata = _aac_header(source, samples)
        self._filter = BitStreamFilterContext("aac_adtstoasc", source)

    def coded(self, packet: SoundPacket) -> list[SoundPacket]:
        """See :meth:`SoundWay.coded`."""
        # The filter empties the packet.
        base = packet.time_base
        stripped = cast("list[SoundPacket]", self._filter.filter(packet))
        for each in stripped:
            each.time_base, each.stream = base, self.stream
        return stripped


class CopyWithTag(SoundWay):
    """Copies the packets of a codec for which the container has only the tag of Windows (WMA, ADPCM)."""

    def __init__(
        self, container: OutputContainer, source: AudioStream, samples: Sequence[SoundPacket]
    ) -> None:
        if not samples:
            raise ValueError("only a trial shows whether a player will know the tag")
        # PyAV refuses the codec by name; the filter, which changes nothing, puts its parameters here.
        self.stream = cast(
            "AudioStream", container.add_mux_stream(_PCM, rate=source.codec_context.sample_rate)
        )
        BitStreamFilterContext("null", source, self.stream)
        self.stream.time_base = source.time_base


def _held(source: AudioStream) -> tuple[OutputContainer, AudioStream]:
    """A copy of a stream in the first container that holds its codec: none holds all.

    Raises:
        ValueError: if none does.
    """
    for name in _HOLDERS:
        holder = av.open(io.BytesIO(), "w", format=name)
        with suppress(ValueError):
            return holder, holder.add_stream_from_template(source)
    raise ValueError(f"no container holds {source.codec_context.name}")


class SoundDecoder:
    """A decoder of its own for a stream: that of a container that is never written to."""

    def __init__(self, source: AudioStream) -> None:
        # A codec context cannot be copied with all parameters; a stream can.
        self._holder, stream = _held(source)
        self._context: AudioCodecContext = stream.codec_context

    def decode(self, packet: "SoundPacket | None") -> list[av.AudioFrame]:
        """The frames of a packet, or those that are left at the end.

        Raises:
            av.FFmpegError: if the packet is damaged.
        """
        return self._context.decode(packet)


class Pcm(SoundWay):
    """Decodes the sound and writes it uncompressed, with 16 bits."""

    copies = False
    lossless = False

    def __init__(
        self, container: OutputContainer, source: AudioStream, samples: Sequence[SoundPacket]
    ) -> None:
        self._decoder = SoundDecoder(source)
        self._format: tuple[str, str, int] | None = None
        """Sample format, channels and rate of the last frame."""
        coded = source.codec_context
        # Some containers state only the number of channels.
        layout = _LAYOUTS.get(coded.layout.nb_channels, coded.layout.name)
        layout = coded.layout.name if coded.layout.name in _LAYOUTS.values() else layout
        self.stream = cast("AudioStream", container.add_stream(_PCM, rate=coded.sample_rate, layout=layout))
        self._resampler = self._new_resampler()

    def coded(self, packet: SoundPacket) -> list[SoundPacket]:
        """See :meth:`SoundWay.coded`."""
        return self._encoded(self._decoder.decode(packet))

    def rest(self) -> list[SoundPacket]:
        """See :meth:`SoundWay.rest`."""
        packets = self._encoded(self._decoder.decode(None))
        last = self._resampler.resample(None)
        return packets + [each for frame in (*last, None) for each in self.stream.encode(frame)]

    def _encoded(self, frames: list[av.AudioFrame]) -> list[SoundPacket]:
        alike = (part for frame in frames for part in self._alike(frame))
        return [each for frame in alike for each in self.stream.encode(frame)]

    def _alike(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        """A frame with the rate and the channels of the output, behind what was held back so far."""
        described = (frame.format.name, frame.layout.name, frame.sample_rate)
        before = []
        if self._format not in (None, described):
            before = self._resampler.resample(None)
            self._resampler = self._new_resampler()
        self._format = described
        return before + self._resampler.resample(frame)

    def _new_resampler(self) -> av.AudioResampler:
        context = self.stream.codec_context
        return av.AudioResampler(context.format, context.layout, context.sample_rate)


class LosslessPcm(Pcm):
    """Decodes uncompressed and companded sound (G.711, which most cameras send)."""

    lossless = True

    def __init__(
        self, container: OutputContainer, source: AudioStream, samples: Sequence[SoundPacket]
    ) -> None:
        if not source.codec_context.name.startswith(_SIXTEEN_BITS):
            raise ValueError("not uncompressed sound of at most 16 bits")
        super().__init__(container, source, samples)


WAYS: tuple[type[SoundWay], ...] = (CopyAdts, Copy, LosslessPcm, CopyWithTag, Pcm)
"""All ways; the first that works is used."""


def _is_adts(packet: SoundPacket) -> bool:
    return packet.size > 2 and int.from_bytes(bytes(packet)[:2], "big") >> 4 == _ADTS


def _aac_header(source: AudioStream, samples: Sequence[SoundPacket]) -> bytes:
    """The header that the filter takes from the first packet."""
    trial = BitStreamFilterContext("aac_adtstoasc", source)
    for sample in copied(samples):
        for packet in trial.filter(sample):
            for data in packet.iter_sidedata():
                if data.data_type == "new_extradata":
                    return bytes(data)
    raise ValueError("no AAC header")
