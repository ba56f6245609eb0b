"""From a list of photos to a folder of pairs: reading, computing and writing at the same time, surviving bad files.

Reading and writing run in threads beside the networks. Images of one size may share a batch. Whatever the order, batch
size or number of threads, a pair depends on its photo and the seed alone.
"""

import errno
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cycleisp.dataloaders.pairs.store import PairFiles, PairStore, Record
from cycleisp.dataloaders.photos import PhotoError, Source, as_float, decode_photo
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.pairs import NoisyCleanPair
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import read_raw, render_with_libraw

log = logging.getLogger(__name__)

# The output folder is at fault, not the photo: going on would fail again and again.
_FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}


Synthesize = Callable[[Tensor, Sequence[int], Tensor | None], Sequence[NoisyCleanPair]]


@dataclass(frozen=True)
class Input:
    """One source, read: `photo` (H, W, 3) uint8 or uint16; `packed_raw` (4, H/2, W/2) if it came from a camera file."""

    source: Source
    photo: NDArray
    packed_raw: NDArray[np.float32] | None
    source_bytes: int
    source_sha256: str

    @property
    def batch_key(self) -> tuple[object, ...]:
        """Inputs of one key can share a batch."""
        return (self.photo.shape, self.packed_raw is not None)


def read_input(source: Source) -> Input:
    """Read a photo, or a camera file as RAW and LibRaw's rendering.

    Raises:
        UserError: the file cannot be used; the message says why and what to do.
    """
    try:
        content = source.path.read_bytes()
    except OSError as error:
        raise PhotoError(f"{source.path}: cannot be read ({error.strerror})") from None
    packed_raw = None
    if source.is_raw:
        image, rendered = read_raw(source.path), render_with_libraw(source.path)
        height, width = image.mosaic.shape
        rows, columns = bayer.rggb_window(height, width, image.pattern)
        packed_raw = bayer.pack(torch.from_numpy(image.mosaic[rows, columns])[None]).numpy()
        photo: NDArray = rendered[rows, columns]
    else:
        photo = decode_photo(content, source.path)
    return Input(source, photo, packed_raw, len(content), hashlib.sha256(content).hexdigest())


def pair_seed(seed: int, source_sha256: str) -> int:
    """The seed of one pair, 0 <= s < 2**63, from the run's seed and the photo's bytes: no name, no order, no batch."""
    digest = hashlib.sha256(f"{seed}:{source_sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class PairFactory:
    """Makes the pairs of a list of sources.

    Args:
        store: where they go.
        synthesize: photos (B, 3, H, W), seeds, known RAW -> pairs.
        settings: parameters to write into every record; `seed` among them.
        keep_raw, keep_srgb, keep_variance: what to store of a pair.
        batch_size: photos of one size that share a call of `synthesize`.
        workers: threads for reading, and as many for writing.
    """

    def __init__(
        self,
        store: PairStore,
        synthesize: Synthesize,
        settings: Record,
        keep_raw: bool,
        keep_srgb: bool,
        keep_variance: bool,
        batch_size: int,
        workers: int,
    ) -> None:
        self.store, self.synthesize, self.settings = store, synthesize, settings
        self.keep_raw, self.keep_srgb, self.keep_variance = keep_raw, keep_srgb, keep_variance
        self.batch_size, self.workers = batch_size, workers
        self.summary = Summary()

    def run(self, sources: Sequence[Source], progress: bool = True) -> Summary:
        """Make what is missing. Bad sources are reported in the summary and left out.

        Raises:
            UserError: the output folder cannot be written (a full disk, for one); what is finished is kept.
        """
        bar = progress_bar(total=len(sources), desc="pairs", unit="image", disable=not progress, smoothing=0.1)
        writers = ThreadPoolExecutor(self.workers, thread_name_prefix="write")
        writes: deque[Future[None]] = deque()
        self._bar = bar
        try:
            with bar:
                for batch in self._batches(self._read_ahead(self._unfinished(sources))):
                    for item, pair in zip(batch, self._synthesize(batch), strict=False):
                        writes.append(writers.submit(self._write, item, pair))
                    while len(writes) > self.workers or (writes and writes[0].done()):
                        self._settle(writes.popleft())
                while writes:
                    self._settle(writes.popleft())
        finally:
            writers.shutdown(wait=True, cancel_futures=True)
        return self.summary

    # ------------------------------------------------------------ stages

    def _unfinished(self, sources: Sequence[Source]) -> Iterator[Source]:
        for source in sources:
            try:
                size = source.path.stat().st_size
            except OSError:
                size = -1  # reading it will say why
            if self.store.is_finished(source.name, size):
                self.summary.kept += 1
                self._bar.update()
            else:
                yield source

    def _read_ahead(self, sources: Iterator[Source]) -> Iterator[Input]:
        """Read in threads, a few files ahead, in order; unusable ones are reported and left out."""
        with ThreadPoolExecutor(self.workers, thread_name_prefix="read") as readers:
            ahead: deque[tuple[Source, Future[Input]]] = deque()
            for source in sources:
                ahead.append((source, readers.submit(read_input, source)))
                if len(ahead) > self.workers + self.batch_size:
                    yield from self._finish_reading(*ahead.popleft())
            while ahead:
                yield from self._finish_reading(*ahead.popleft())

    def _finish_reading(self, source: Source, job: "Future[Input]") -> Iterator[Input]:
        try:
            yield job.result()
        except (UserError, ValueError, MemoryError) as error:
            self._skip(source, error)

    def _batches(self, inputs: Iterator[Input]) -> Iterator[list[Input]]:
        """Group inputs of one size; a size that stays rare is computed alone, so that little waits in memory."""
        waiting: dict[tuple[object, ...], list[Input]] = {}
        for item in inputs:
            group = waiting.setdefault(item.batch_key, [])
            group.append(item)
            if len(group) == self.batch_size:
                yield waiting.pop(item.batch_key)
            elif sum(map(len, waiting.values())) >= 2 * self.batch_size:
                yield waiting.pop(next(iter(waiting)))
        yield from waiting.values()

    def _synthesize(self, batch: list[Input]) -> Sequence[NoisyCleanPair]:
        photos = torch.stack([torch.from_numpy(as_float(item.photo)).permute(2, 0, 1) for item in batch])
        known = [item.packed_raw for item in batch if item.packed_raw is not None]
        clean_raw = torch.stack([torch.from_numpy(raw) for raw in known]) if known else None
        seeds = [pair_seed(self.settings["seed"], item.source_sha256) for item in batch]
        try:
            return self.synthesize(photos, seeds, clean_raw)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            height, width = batch[0].photo.shape[:2]
            for item in batch:
                self._skip(
                    item.source, f"{item.source.path}: {width}x{height} pixels do not fit into memory; make it smaller"
                )
            return []

    def _write(self, item: Input, pair: NoisyCleanPair) -> None:
        depth = item.photo.dtype
        variance = None
        if self.keep_variance:
            shot_noise, read_noise = (torch.tensor(x).view(-1, 1, 1) for x in (pair.shot_noise, pair.read_noise))
            variance = (shot_noise * pair.noisy_raw + read_noise).numpy()  # as the denoiser will see it
        files = PairFiles(
            clean_raw=to_integers(pair.clean_raw, np.dtype(np.uint16)) if self.keep_raw else None,
            noisy_raw=to_integers(pair.noisy_raw, np.dtype(np.uint16)) if self.keep_raw else None,
            variance=variance if self.keep_raw else None,
            clean_srgb=_as_photo(pair.clean_srgb, depth) if self.keep_srgb else None,
            noisy_srgb=_as_photo(pair.noisy_srgb, depth) if self.keep_srgb else None,
        )
        record: dict[str, Any] = {
            **self.settings,
            "source": str(item.source.path),
            "source_bytes": item.source_bytes,
            "source_sha256": item.source_sha256,
            "from_camera_raw": item.packed_raw is not None,
            "height": item.photo.shape[0],
            "width": item.photo.shape[1],
            "bits": depth.itemsize * 8,
            "pair_seed": pair_seed(self.settings["seed"], item.source_sha256),
            "shot_noise": pair.shot_noise,
            "read_noise": pair.read_noise,
            **pair.noise_origin,
        }
        self.store.write(item.source.name, files, record)

    def _settle(self, write: "Future[None]") -> None:
        try:
            write.result()
        except OSError as error:
            if error.errno in _FATAL or error.errno is None:
                raise UserError(
                    f"{self.store.folder}: cannot be written ({error.strerror or error}); make room or give another "
                    "--output; finished pairs are kept, the same command goes on"
                ) from None
            raise
        self.summary.made += 1
        self._bar.update()

    def _skip(self, source: Source, error: Exception | str) -> None:
        reason = self.summary.skip(source.path, error)
        self._bar.update()
        self._bar.set_postfix(skipped=len(self.summary.skipped))
        log.warning("skipped %s", reason)


def to_integers(image: Tensor, dtype: np.dtype) -> NDArray:
    """[0, 1] -> 0 ... largest value of an unsigned integer type, rounded to nearest; the same shape."""
    values = image.clamp(0, 1).double().numpy()
    values *= np.iinfo(dtype).max
    return np.rint(values, out=values).astype(dtype)


def _as_photo(image: Tensor | None, dtype: np.dtype) -> NDArray | None:
    """(3, H, W) in [0, 1] -> (H, W, 3) integers."""
    return None if image is None else to_integers(image.permute(1, 2, 0), dtype)
