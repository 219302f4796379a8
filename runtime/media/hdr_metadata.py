"""Static HDR metadata of a video: mastering display (SMPTE ST 2086) and light levels (CTA-861.3)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HdrMetadata:
    """Static HDR metadata, in the units of the SEI messages of H.264 and H.265.

    Attributes:
        chromaticities: x and y of green, blue, red and white, in units of 0.00002; empty if unknown.
        luminance: highest and lowest of the display, in 0.0001 cd/m²; empty if unknown.
        light_level: MaxCLL and MaxFALL in cd/m²; empty if unknown.
    """

    chromaticities: tuple[int, ...] = ()
    luminance: tuple[int, ...] = ()
    light_level: tuple[int, ...] = ()

    @property
    def parameters(self) -> dict[str, str]:
        """The metadata as parameters of each encoder that writes it, by its name; empty if there are none."""
        display = light = ""
        if self.chromaticities and self.luminance:
            pairs = zip(self.chromaticities[::2], self.chromaticities[1::2], strict=True)
            points = "".join(f"{name}({x},{y})" for name, (x, y) in zip("GBRW", pairs, strict=True))
            display = points.replace("W(", "WP(") + "L({},{})".format(*self.luminance)
        if self.light_level:
            light = "{},{}".format(*self.light_level)
        names = {"libx264": ("mastering-display", "cll"), "libx265": ("master-display", "max-cll")}
        written = {
            encoder: ":".join(
                f"{key}={value}" for key, value in zip(keys, (display, light), strict=True) if value
            )
            for encoder, keys in names.items()
        }
        return {encoder: text for encoder, text in written.items() if text}
