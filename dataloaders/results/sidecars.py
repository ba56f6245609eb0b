"""Sidecar files: what raw converters keep beside a camera file, copied beside its denoised DNG."""

import logging
from pathlib import Path

from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.limits import check_bytes
from cycleisp.utils.output.files import write_bytes

log = logging.getLogger(__name__)

_SUFFIXES = (".xmp", ".XMP")


def copy_sidecars(source: Path, result: Path) -> None:
    """Copies the XMP sidecars of a camera file, and names them after its denoised DNG.

    Adobe's programs name them `IMG_1.xmp`, darktable `IMG_1.CR2.xmp`. A sidecar that is already
    beside the result stays, as somebody may have edited it. One that cannot be read costs a
    warning.

    Raises:
        OSError: a copy cannot be written.
    """
    for suffix in _SUFFIXES:
        for named in (Path.with_suffix, _with_added_suffix):
            sidecar, copy = named(source, suffix), named(result, suffix.lower())
            if not sidecar.is_file() or copy.exists():
                continue
            try:
                check_bytes(sidecar, sidecar.stat().st_size, UserError)
                content = sidecar.read_bytes()
            except (OSError, UserError) as error:
                log.warning("%s: the sidecar is not copied (%s)", sidecar, reason(error))
                continue
            write_bytes(copy, content)


def _with_added_suffix(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
