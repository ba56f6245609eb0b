"""Files in, denoised files out: what denoise.py does.

A photo becomes a PNG with its depth, EXIF and colour profile. A camera file becomes a DNG with the
denoised mosaic, and a PNG with LibRaw's rendering of it.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from cycleisp.dataloaders.denoisers import DenoiseSrgb
from cycleisp.dataloaders.photos import PhotoError, read_photo_and_metadata
from cycleisp.dataloaders.results.denoised_raw import RawFileDenoiser
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import photo_to_tensor, tensor_to_photo
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.progress import progress_bar

log = logging.getLogger(__name__)


class DenoisedFiles:
    """Denoises files into a folder. Existing results are kept, so that a stopped run resumes.

    Args:
        folder: the folder for the results: `NAME.png` of a photo, `NAME.dng` and `NAME.png` of a
            camera file.
        photo: a denoiser of sRGB; None refuses photos.
        raw: a denoiser of camera files; None refuses them.
        overwrite: whether to overwrite existing results.
    """

    def __init__(
        self,
        folder: Path,
        photo: DenoiseSrgb | None,
        raw: RawFileDenoiser | None,
        overwrite: bool = False,
    ) -> None:
        self.folder, self.photo, self.raw, self.overwrite = folder, photo, raw, overwrite

    def run(self, sources: Sequence[Source]) -> Summary:
        """Denoises every source. Bad ones are left out and reported in the summary.

        Raises:
            UserError: the folder cannot be written.
        """
        summary = Summary()
        inputs = {source.path.resolve() for source in sources}
        for source in progress_bar(iterable=sources, desc="denoising", unit="image"):
            picture, mosaic = (self.folder / f"{source.name}.{suffix}" for suffix in ("png", "dng"))
            outputs = [mosaic, picture] if source.space == "raw" else [picture]
            if inputs & {output.resolve() for output in outputs}:
                reason = f"{source.path}: its result in {self.folder} would replace an input; give another --output"
                log.warning("skipped %s", summary.skip(source.path, reason))
                continue
            if not self.overwrite and all(output.is_file() for output in outputs):
                summary.kept += 1
                continue
            try:
                png = self._denoise_raw(source, mosaic) if source.space == "raw" else self._denoise_photo(source)
                write_bytes(picture, png)
            except (UserError, ValueError, MemoryError) as error:
                log.warning("skipped %s", summary.skip(source.path, error))
                continue
            except OSError as error:
                raise UserError(f"{self.folder}: cannot be written ({error.strerror}); give another --output") from None
            summary.made += 1
        return summary

    def _denoise_photo(self, source: Source) -> bytes:
        """Returns the PNG of a denoised photo."""
        if self.photo is None:
            raise PhotoError(f"{source.path}: is an sRGB photo, the weights are for RAW; name an SrgbDenoiser")
        photo, metadata = read_photo_and_metadata(source.path)
        denoised = self.photo(photo_to_tensor(photo)[None])
        return encode_png(tensor_to_photo(denoised[0], photo.dtype), metadata)

    def _denoise_raw(self, source: Source, mosaic: Path) -> bytes:
        """Writes the denoised mosaic of a camera file, and returns the PNG of its rendering."""
        if self.raw is None:
            raise UserError(f"{source.path}: is a camera RAW file, the weights are for sRGB; name a RawDenoiser")
        return self.raw.write(source.path, mosaic)
