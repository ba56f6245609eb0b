"""ICC colour profiles of the simple kind, as bytes: a curve for each channel and one matrix.

Such are the profiles of Adobe RGB, Display P3, ProPhoto, Rec. 2020 and of most displays. LittleCMS
(utils/color/profiles.py) applies every kind, but through Pillow to 8 bits only. (ICC.1:2022)
"""

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cycleisp.utils.color.spaces import D50, ColorSpace, Curve, gamma

_HEADER = 128  # bytes before the table of tags
_MOST_TAGS = 200
_SAMPLES = 1024  # of the curve in a profile that is written
_LUTS = (b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1", b"D2B2")  # tables, which come before curves and matrix


class ProfileError(ValueError):
    """A colour profile that cannot be used. The message says why, without the file's name."""


class TablesError(ProfileError):
    """A profile that is right, but is of a kind that is applied to 8 bits only."""


def colors_of(profile: bytes) -> str:
    """Returns the kind of colours that a profile describes: `RGB`, `GRAY`, `CMYK`, ...

    Raises:
        ProfileError: these bytes are no colour profile.
    """
    if len(profile) < _HEADER + 4 or profile[36:40] != b"acsp":
        raise ProfileError("is damaged")
    return profile[16:20].decode("latin-1").strip()


def codes_of(profile: bytes) -> tuple[int, int] | None:
    """Returns the codes of primaries and transfer (ITU-T H.273) in a profile, if it has them."""
    content = dict(_tags(profile)).get(b"cicp", b"")
    return (content[8], content[9]) if len(content) >= 10 else None


def space_of_profile(profile: bytes) -> ColorSpace:
    """Returns the colour space of a profile with curves and a matrix.

    A grey profile gives a space whose three channels have the grey's curve.

    Raises:
        ProfileError: the profile has tables instead, or is damaged.
    """
    tags = dict(_tags(profile))
    if any(name in tags for name in _LUTS):
        raise TablesError("has tables instead of curves and a matrix")
    if colors_of(profile) == "GRAY":
        curve = _curve(_needed(tags, b"kTRC"))
        return ColorSpace("grey", np.diag(D50), (curve, curve, curve))
    columns = [_xyz(_needed(tags, name)) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    red, green, blue = (_curve(_needed(tags, name)) for name in (b"rTRC", b"gTRC", b"bTRC"))
    return ColorSpace("RGB", np.stack(columns, axis=1), (red, green, blue))


def profile_of_space(colors: ColorSpace) -> bytes:
    """Returns an ICC profile, version 2.4, of a colour space."""
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(colors.name) + 1) + colors.name.encode("ascii") + bytes(79),
        b"cprt": b"text\0\0\0\0No copyright, use freely\0",
        b"wtpt": _as_xyz(D50),
        **{name: _as_xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colors.to_xyz.T, strict=True)},
        **{name: _as_curve(curve) for name, curve in zip((b"rTRC", b"gTRC", b"bTRC"), colors.curves, strict=True)},
    }
    return _assembled(b"RGB ", tags)


def _assembled(kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Returns a profile of a display with these tags. Equal contents are stored once."""
    table, body, places = b"", b"", dict[bytes, int]()
    start = _HEADER + 4 + 12 * len(tags)
    for name, content in tags.items():
        if content not in places:
            places[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
        table += name + struct.pack(">II", places[content], len(content))
    head = struct.pack(
        ">I4sI4s4s4s6H", start + len(body), b"\0" * 4, 0x02400000, b"mntr", kind, b"XYZ ", 2024, 1, 1, *[0] * 3
    )
    head += b"acsp" + bytes(28) + _as_xyz(D50)[8:]
    return head.ljust(_HEADER, b"\0") + struct.pack(">I", len(tags)) + table + body


def _tags(profile: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields names and contents of the tags that lie inside of the profile."""
    if len(profile) < _HEADER + 4:
        return
    (count,) = struct.unpack_from(">I", profile, _HEADER)
    for number in range(min(count, _MOST_TAGS, (len(profile) - _HEADER - 4) // 12)):
        name, start, size = struct.unpack_from(">4sII", profile, _HEADER + 4 + 12 * number)
        if start + size <= len(profile):
            yield name, profile[start : start + size]


def _needed(tags: dict[bytes, bytes], name: bytes) -> bytes:
    if name not in tags:
        raise ProfileError(f"lacks its {name.decode('ascii')}")
    return tags[name]


def _xyz(content: bytes) -> NDArray:
    if content[:4] != b"XYZ " or len(content) < 20:
        raise ProfileError("has a damaged matrix")
    return np.array(struct.unpack(">3i", content[8:20])) / 65536


def _curve(content: bytes) -> Curve:
    """Returns the curve of a tag of type `curv` or `para`."""
    kind = content[:4]
    if kind == b"curv" and len(content) >= 12:
        (count,) = struct.unpack(">I", content[8:12])
        if count == 0:
            return gamma(1.0)
        if len(content) < 12 + 2 * count:
            raise ProfileError("has a damaged curve")
        table = np.frombuffer(content, ">u2", count, 12)
        if count == 1:
            return gamma(table[0] / 256)
        steps = np.linspace(0, 1, count)
        return lambda encoded: np.interp(encoded, steps, table / 65535)
    if kind == b"para" and len(content) >= 12:
        (function,) = struct.unpack(">H", content[8:10])
        count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(function, 0)
        if count and len(content) >= 12 + 4 * count:
            return _parametric(
                function, [value / 65536 for value in struct.unpack(f">{count}i", content[12 : 12 + 4 * count])]
            )
    raise ProfileError("has a curve of an unknown kind")


def _parametric(function: int, values: list[float]) -> Curve:
    """Returns one of ICC's five parametric curves (ICC.1:2022, table 68)."""
    power, a, b, c, d, e, f = values + [0.0] * (7 - len(values)) if function else [values[0], *[0.0] * 6]
    if function == 0:
        return gamma(power)
    if function in (1, 2):
        if a == 0:
            raise ProfileError("has a curve without slope")
        e, f = c, c  # added on both sides of the break; 0 in the first of the two
        c, d = 0.0, -b / a
    start, slope = d, c

    def curve(encoded: NDArray) -> NDArray:
        raised = np.maximum(a * encoded + b, 0) ** power + e
        return np.clip(np.where(encoded >= start, raised, slope * encoded + f), 0, 1)

    return curve


def _as_xyz(color: NDArray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *np.rint(np.asarray(color) * 65536).astype(int))


def _as_curve(curve: Curve) -> bytes:
    """Returns a curve as a table, or as a power where it is one that the format can hold."""
    steps = np.linspace(0, 1, _SAMPLES)
    values = np.asarray(curve(steps))
    power = round(256 * float(np.log(values[_SAMPLES // 2]) / np.log(steps[_SAMPLES // 2])))
    if np.abs(steps ** (power / 256) - values).max() < 1e-5:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, power)
    table = np.rint(values * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", _SAMPLES) + table.tobytes()
