"""Which tags a denoised DNG takes over from the file of its source.

Everything that says how the picture is to be developed, where and when it was taken, and whose it
is stays: colour matrices, profiles, levels, areas, opcodes, exposure, EXIF, GPS, XMP. Left out is
what is no longer true, or belongs to something that the result does not have.
"""

from collections.abc import Mapping

from cycleisp.utils.raw.dng.tags import DngTags, Tag

# TIFF: description, make, model, software, date, artist, host, XMP, ratings, copyright, IPTC,
# resolution; texts of Windows; TIFF/EP: exposure and its circumstances
_ANY_PICTURE = frozenset(
    (270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 700, 18246, 18249, 33432, 33434, 33437, 33723, 34850, 34855)
) | frozenset((*range(36864, 37396), *range(40091, 40096), 37398))
_MOSAIC = frozenset((33421, 33422))  # the colour filter
_DNG = range(50706, 52600)
_NO_LONGER = frozenset(
    (
        50712,  # LinearizationTable: LibRaw has applied it
        50741,  # MakerNoteSafety: the notes of makers are left out
        50781,  # RawDataUniqueID, which names other values
        50828,  # OriginalRawFileData: the noisy file itself
        50933,  # ExtraCameraProfiles, by their place in the file
        *range(50966, 50972),  # of previews
        *(50972, 50973, 51111),  # checksums of what has changed
        *(50974, 50975, 52547, 52553, 52554, 52555),  # of another compression
        51041,  # NoiseProfile: the noise has gone
        *(51112, 51113, 51114),  # RawToPreviewGain and caches
        *range(51177, 51183),  # of depth maps, and of enhanced pictures
        *(52526, 52528, 52536),  # of masks
        52550,  # ImageStats, of noisy values
    )
)
_MAKER_NOTE, _INTEROPERABILITY = 37500, 40965  # they point to places in the file of the source


def of_dng(tags: DngTags) -> dict[int, Tag]:
    """Returns the tags of a DNG's main IFD and of its raw picture that a result keeps."""
    both = {**tags.ifd0, **tags.raw}
    common = {code: tag for code, tag in tags.ifd0.items() if code in _ANY_PICTURE}
    picture = {code: tag for code, tag in both.items() if code in _MOSAIC or (code in _DNG and code not in _NO_LONGER)}
    return common | picture


def of_camera_file(tags: DngTags) -> dict[int, Tag]:
    """Returns the tags of the main IFD of another TIFF-like file that a result keeps."""
    return {code: tag for code, tag in tags.ifd0.items() if code in _ANY_PICTURE}


def of_exif(exif: Mapping[int, Tag]) -> list[Tag]:
    """Returns the tags of an EXIF IFD that a result keeps."""
    return [tag for code, tag in exif.items() if code not in (_MAKER_NOTE, _INTEROPERABILITY)]
