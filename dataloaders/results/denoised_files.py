"""Files in, denoised files out: what denoise.py does.

A photo becomes a picture with its depth, EXIF and colour profile. A camera file becomes a DNG with
the denoised mosaic, and a picture with LibRaw's rendering of it.
"""

import errno
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cycleisp.dataloaders.photos import PhotoError, read_photo_and_metadata
from cycleisp.dataloaders.results.arrays import DenoiseArrays
from cycleisp.dataloaders.results.denoise_report import DenoiseReport
from cycleisp.dataloaders.results.denoised_raw import RawFileDenoiser
from cycleisp.dataloaders.results.pieces import Piece
from cycleisp.dataloaders.results.records import Settings
from cycleisp.dataloaders.results.result_folder import Result, ResultFolder
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.color.strength import FULL, Strength
from cycleisp.utils.devices import is_out_of_memory
from cycleisp.utils.errors import UserError, reading, reason
from cycleisp.utils.images import Space, as_float, to_integers
from cycleisp.utils.output.picture_format import PNG, PictureFormat
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.processes.apart import apart
from cycleisp.utils.steps import watched

MOSAIC = ".dng"
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


class DenoisedFiles:
    """Denoises files into a folder. Existing results are kept, so that a stopped run resumes.

    Args:
        folder: the folder for the results: `NAME.png` of a photo, `NAME.dng` and `NAME.png` of a
            camera file. `dataloaders/results/records.py` says how NAME is found, and which results
            count as existing.
        photo: a denoiser of sRGB; None refuses photos.
        raw: a denoiser of camera files; None refuses them.
        overwrite: whether to overwrite existing results.
        form: the format of the pictures.
        settings: what the results of photos and of camera files depend on, besides the file; JSON
            values. Results of other settings are not mixed with them.
        strength: how much of what the denoiser of photos changes is taken. That of camera files has
            its own.
        piece: the piece of every photo to denoise, in place of the whole. Of camera files, too, a
            piece has no DNG.
        report: what takes note of every result; that of camera files goes to `raw`, too.

    Attributes:
        summary: what has been done until now.
    """

    def __init__(
        self,
        folder: Path,
        photo: DenoiseArrays | None,
        raw: RawFileDenoiser | None,
        overwrite: bool = False,
        form: PictureFormat = PNG,
        settings: Mapping[Space, Settings] | None = None,
        strength: Strength = FULL,
        piece: Piece | None = None,
        report: DenoiseReport | None = None,
    ) -> None:
        self.report, self.summary = report, Summary()
        self.folder, self.photo, self.raw, self.overwrite, self.form = folder, photo, raw, overwrite, form
        self.settings, self.strength, self.piece = settings or {}, strength, piece

    def run(self, sources: Sequence[Source]) -> Summary:
        """Denoises every source. Bad ones are left out and reported in the summary.

        Raises:
            UserError: the folder cannot be written, or holds a result of other settings.
        """
        summary = self.summary
        results = ResultFolder(self.folder, self.overwrite)
        inputs = {source.path.resolve() for source in sources}
        usable = []
        for source in sources:
            names = (f"{source.relative.removesuffix(source.path.suffix)}{suffix}" for suffix in self._suffixes(source))
            if inputs.isdisjoint((self.folder / name).resolve() for name in names):
                usable.append(source)
            else:
                words = f"its result in {self.folder} would replace an input; give another --output"
                summary.skip(source.path, words)
        plan = results.plan(usable, self._suffixes, self._settings)
        with progress_bar(total=len(plan), desc="denoising", unit="image", bar_format=BAR) as bar:
            for number, result in enumerate(plan):
                try:
                    began = time.perf_counter()
                    with watched(partial(_show, bar, number)):
                        made = self._make(results, result)
                    if made and self.report is not None:
                        self.report.made(result.source.path, result.outputs, time.perf_counter() - began)
                except (UserError, ValueError, MemoryError, RuntimeError) as error:
                    if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                        raise
                    summary.skip(result.source.path, error)
                    bar.set_postfix(skipped=len(summary.skipped))
                except OSError as error:
                    if error.errno != errno.ENAMETOOLONG:
                        words = f"cannot be written ({reason(error)}); give another --output"
                        raise UserError(f"{self.folder}: {words}") from None
                    summary.skip(result.source.path, "its result's name is too long for this folder; rename it")
                else:
                    summary.made += made
                    summary.kept += not made
                _show(bar, number + 1)
        return summary

    def report_parts(self) -> list[str]:
        """Returns the parts of the run's report, of what has been done until now."""
        return [] if self.report is None else self.report.parts(self.summary)

    def _make(self, results: ResultFolder, result: Result) -> bool:
        """Makes what is missing of a result. Returns False where that is nothing.

        Raises:
            UserError: the source cannot be used.
            OSError: the folder cannot be written.
        """
        missing = results.missing(result)
        if not missing:
            return False
        source = result.source
        with reading(source.path):
            fingerprint = results.fingerprint(result)
        if source.space == "raw":
            if self.raw is None:
                raise UserError(f"{source.path}: is a camera RAW file, the weights are for sRGB; name a RawDenoiser")
            with results.writing(result, fingerprint, result.outputs) as parts:
                *mosaic, picture = result.outputs
                if mosaic:
                    content = self.raw.write(source.path, parts[mosaic[0]], self.folder / mosaic[0])
                else:
                    content = self.raw.render_piece(source.path)
                parts[picture].write_bytes(content)
        else:
            content = self._denoise_photo(source.path)
            with results.writing(result, fingerprint, missing) as parts:
                parts[missing[0]].write_bytes(content)
        return True

    def _denoise_photo(self, path: Path) -> bytes:
        """Returns the file of a denoised photo."""
        if self.photo is None:
            raise PhotoError(f"{path}: is an sRGB photo, the weights are for RAW; name an SrgbDenoiser")
        photo, metadata = apart(read_photo_and_metadata, path)
        wanted = slice(None), slice(None)
        if self.piece is not None:
            view = self.piece.view_of_photo(photo.shape[0], photo.shape[1], path)
            photo, wanted = np.concatenate([photo[seen] for seen in view.windows], axis=view.axis), view.wanted
        depth, image = photo.dtype, np.moveaxis(as_float(photo), -1, 0)
        noisy = None if self.report is None else photo[wanted]
        del photo  # as each of the following, so that a large photo is in memory once
        image = self.strength.denoise(self.photo, image[None])[0][(..., *wanted)]
        denoised = to_integers(np.moveaxis(image, 0, -1), depth)
        del image
        if self.report is not None and noisy is not None:
            self.report.photo(path, noisy, denoised)
        return self.form.encode(denoised, metadata, path)

    def _suffixes(self, source: Source) -> tuple[str, ...]:
        with_mosaic = source.space == "raw" and (self.raw is None or self.raw.piece is None)
        return (MOSAIC, self.form.suffix) if with_mosaic else (self.form.suffix,)

    def _settings(self, source: Source) -> Settings:
        return {**self.settings.get(source.space, {}), **self.form.to_json()}


def _show(bar: tqdm, done: int, share: float = 0.0) -> None:
    """Moves a bar to a number of images and the share of the next one."""
    bar.update(done + share - bar.n)
