"""Shares and heaviness in the specs of ``granet-train``."""

import re
from collections.abc import Sequence

from granet.app.console import UsageError
from granet.data.specs import parse_heaviness, parse_spec

_WITH_SHARE = re.compile(r"(.+?)(?:@(\d+(?:\.\d*)?|\.\d+))?")


def check_with_share(text: str) -> None:
    """Checks one ``SPEC`` or ``SPEC@0.3``.

    Raises:
        UserError: if the spec is malformed.
    """
    part = _WITH_SHARE.fullmatch(text)
    parse_spec(part[1] if part else text)


def split_shares(specs: Sequence[str]) -> tuple[list[str], tuple[float, ...] | None]:
    """``SPEC@0.3`` ... -> the specs and their shares; ``None`` if no spec has a share.

    Raises:
        UsageError: if only some specs have a share, or one is 0.
    """
    parts = [_WITH_SHARE.fullmatch(spec) for spec in specs]
    names = [part[1] if part else spec for part, spec in zip(parts, specs, strict=True)]
    shares = [part[2] if part else None for part in parts]
    if all(share is None for share in shares):
        return names, None
    if None in shares:
        raise UsageError(
            f"{specs[shares.index(None)]} has no share: give each --train a share, as in SPEC@0.3, or none"
        )
    weights = tuple(float(share) for share in shares if share is not None)
    if min(weights) <= 0:
        raise UsageError("the share of a --train, as in SPEC@0.3, must be above 0")
    return names, weights


def with_heaviness(spec: str, heaviness: str | None) -> str:
    """``spec`` with ``heaviness``, as ``0.1-0.4``, if it is synthetic rain without a heaviness of its own.

    Raises:
        UserError: if ``heaviness`` is not a range within 0 and 1.
    """
    if heaviness is None:
        return spec
    parse_heaviness(heaviness)
    if not takes_heaviness(spec):
        return spec
    return f"{spec}{'&' if '?' in spec else '?'}heaviness={heaviness}"


def takes_heaviness(spec: str) -> bool:
    """Whether ``spec`` is synthetic rain that neither gives its heaviness nor takes real streaks."""
    return spec.startswith("synthetic:") and "heaviness=" not in spec and "streaks=" not in spec
