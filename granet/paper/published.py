"""The results in the paper's tables 1 to 3, for comparison with measurements.

All are PSNR in dB and SSIM by the metric ``paper`` (:mod:`granet.evaluation.metrics`).
"""

from granet.evaluation.metrics import Quality

TABLE_1: dict[str, dict[str, Quality]] = {
    "DDN-Dataset": {"NLEDN": Quality(29.79, 0.8976), "GraNet": Quality(32.51, 0.9292)},
    "DID-Dataset": {"NLEDN": Quality(33.16, 0.9192), "GraNet": Quality(33.68, 0.9284)},
    "Rain100L": {"NLEDN": Quality(36.57, 0.9747), "GraNet": Quality(37.55, 0.9806)},
    "Rain100H": {"NLEDN": Quality(30.38, 0.8939), "GraNet": Quality(33.16, 0.9290)},
}
"""Data set -> method -> result: GraNet, and NLEDN, the best method before it."""

TABLE_2: dict[str, dict[str, Quality]] = {
    "Rain100L": {
        "Only Coarse w/o RA": Quality(35.57, 0.9693),
        "Only Coarse w/ RA": Quality(36.12, 0.9714),
        "Coarse + Fine (w/o Context)": Quality(35.93, 0.9711),
        "Coarse + Fine (w/ Context)": Quality(37.55, 0.9806),
    },
    "Rain100H": {
        "Only Coarse w/o RA": Quality(30.45, 0.8922),
        "Only Coarse w/ RA": Quality(30.77, 0.8964),
        "Coarse + Fine (w/o Context)": Quality(30.73, 0.8979),
        "Coarse + Fine (w/ Context)": Quality(33.16, 0.9290),
    },
}
"""Data set -> ablation, by the names of :meth:`granet.config.GraNetConfig.ablations` -> result."""

TABLE_3: dict[str, dict[str, Quality]] = {
    "DDN-Dataset": {"coarse": Quality(19.66, 0.7389), "mask": Quality(19.81, 0.3374)},
    "DID-Dataset": {"coarse": Quality(19.56, 0.7214), "mask": Quality(19.48, 0.3650)},
    "Rain100L": {"coarse": Quality(23.10, 0.7947), "mask": Quality(23.50, 0.1442)},
    "Rain100H": {"coarse": Quality(18.02, 0.4791), "mask": Quality(17.86, 0.5531)},
}
"""Data set -> output of the coarse stage -> result."""
