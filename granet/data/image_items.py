"""The properties of the picture in an AVIF or HEIC file (ISO/IEC 23008-12): its orientation and colours."""

from collections.abc import Iterator

from granet.data.image_chunks import boxes

_TURNED = {0: 1, 1: 8, 2: 3, 3: 6}
"""Quarter turns counterclockwise -> EXIF orientation."""
_MIRRORED = {(1, 0): 4, (1, 1): 2, (8, 0): 5, (8, 1): 7, (3, 0): 2, (3, 1): 4, (6, 0): 7, (6, 1): 5}
"""(orientation after the turn, axis of the mirror) -> EXIF orientation; axis 0 exchanges top and bottom."""


def item_orientation(data: bytes) -> int:
    """The EXIF orientation (1 to 8) equivalent to the turn and the mirror of the primary picture."""
    properties = dict(item_properties(data))
    turned = _TURNED[properties[b"irot"][0] & 3] if properties.get(b"irot") else 1
    if not properties.get(b"imir"):
        return turned
    return _MIRRORED[turned, properties[b"imir"][0] & 1]


def is_picture_item_file(data: bytes) -> bool:
    """Whether ``data`` starts like an AVIF or HEIC file."""
    return data[4:8] == b"ftyp" and any(brand in data[8:64] for brand in (b"mif1", b"avif", b"heic", b"heix"))


def item_properties(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (type, payload) of the properties of the primary picture; nothing for any other file."""
    if not is_picture_item_file(data):
        return
    meta = next(((start, end) for kind, start, end in boxes(data) if kind == b"meta"), None)
    if meta is None:
        return
    inner = {kind: (start, end) for kind, start, end in boxes(data, meta[0] + 4, meta[1])}
    if b"pitm" not in inner or b"iprp" not in inner:
        return
    at = inner[b"pitm"][0]
    primary = int.from_bytes(data[at + 4 : at + (8 if data[at] else 6)], "big")
    known, wanted = list[tuple[bytes, bytes]](), list[int]()
    for kind, start, end in boxes(data, *inner[b"iprp"]):
        if kind == b"ipco":
            known = [(name, data[first:last]) for name, first, last in boxes(data, start, end)]
        elif kind == b"ipma":
            wanted += _associated(data[start:end], primary)
    for index in wanted:
        if 1 <= index <= len(known):
            yield known[index - 1]


def _associated(table: bytes, item: int) -> list[int]:
    """The numbers, from 1, of the properties of ``item`` in an ``ipma`` box."""
    id_size, wide = (4 if table[:1] > b"\0" else 2), bool(table[3:4] and table[3] & 1)
    at = 8
    for _ in range(int.from_bytes(table[4:8], "big")):
        if at + id_size + 1 > len(table):
            break
        owner, count = int.from_bytes(table[at : at + id_size], "big"), table[at + id_size]
        at += id_size + 1
        size = 2 if wide else 1
        # The highest bit says only whether a reader must understand the property.
        mask = 0x7FFF if wide else 0x7F
        numbers = [
            int.from_bytes(table[at + i * size : at + (i + 1) * size], "big") & mask for i in range(count)
        ]
        if owner == item:
            return numbers
        at += count * size
    return []
