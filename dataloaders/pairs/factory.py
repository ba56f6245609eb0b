"""From a list of photos to a folder of pairs: reads, computes and writes at the same time.

Threads read and write while the networks compute. Images of one size can share a batch. A pair
depends on its photo and the seed alone, whatever the order, the batch size and the number of
threads. Bad files are reported and do not stop the others.
"""

import errno
import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from cycleisp.dataloaders.pairs.computing import Compute, ComputedPair
from cycleisp.dataloaders.pairs.store import PairFiles, Record
from cycleisp.dataloaders.photos import PhotoError, decode_photo, read_content, width_x_height
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.sources import Source
from cycleisp.utils.devices import available_memory, is_out_of_memory
from cycleisp.utils.errors import UserError, reading
from cycleisp.utils.fingerprints import Fingerprint, stamp_of
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.processes.apart import apart
from cycleisp.utils.raw import bayer
from cycleisp.utils.raw.camera_files import read_raw, render_with_libraw

# Errors of the output folder, not of the photo: all further pairs would fail, too.
_FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}


class PairSink(Protocol):
    """What takes the pairs of a factory: an unpacked folder (PairStore), or shards (making.py)."""

    folder: Path

    def is_finished(self, source: Source) -> bool:
        """Tells whether the pair of a source is there, made from what the source holds now."""
        ...

    def write(self, name: str, pair: PairFiles, record: Record) -> None:
        """Stores one pair; several threads may call this. Raises OSError on a full disk."""
        ...

    def leave_out(self, source: Source, reason: str, again: bool) -> None:
        """Notes a source without a pair; `again` says that another run may have more success."""
        ...


@dataclass(frozen=True)
class Input:
    """What was read of one source.

    Attributes:
        source: the file.
        photo: (H, W, 3) uint8 or uint16; of a camera file, LibRaw's rendering.
        packed_raw: (4, H/2, W/2) linear in [0, 1] of a camera file; None of a photo.
        fingerprint: the identity of the file's content.
        source_bytes: the size of the file.
    """

    source: Source
    photo: NDArray
    packed_raw: NDArray[np.float32] | None
    fingerprint: Fingerprint
    source_bytes: int

    @property
    def batch_key(self) -> tuple[object, ...]:
        """Returns what inputs that share a batch have in common."""
        return (self.photo.shape, self.packed_raw is not None)


def read_input(source: Source) -> Input:
    """Reads a photo, or a camera file as RAW and LibRaw's rendering.

    Raises:
        UserError: the file cannot be used. The message says why and what to do.
    """
    with reading(source.path, PhotoError):
        stamp = stamp_of(source.path)  # before the bytes, so that a change meanwhile is seen by the next run
    content = read_content(source.path)
    packed_raw = None
    if source.space == "raw":
        image, rendered = apart(read_raw, source.path), apart(render_with_libraw, source.path)
        height, width = image.mosaic.shape
        rows, columns = bayer.rggb_window(height, width, image.pattern)
        packed_raw = bayer.pack(torch.from_numpy(image.mosaic[rows, columns])[None]).numpy()
        photo: NDArray = rendered[rows, columns]
    else:
        photo = apart(decode_photo, content, source.path)
    return Input(source, photo, packed_raw, Fingerprint(hashlib.sha256(content).hexdigest(), stamp), len(content))


def pair_seed(seed: int, source_sha256: str, repeat: int = 1) -> int:
    """Returns the seed of one pair, 0 <= s < 2**63, from the run's seed and the photo's bytes.

    It does not depend on the photo's name, order or batch. The second pair of a photo and further
    ones, `repeat` 2, 3, ..., have seeds of their own.
    """
    words = f"{seed}:{source_sha256}" + (f":{repeat}" if repeat > 1 else "")
    digest = hashlib.sha256(words.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class PairFactory:
    """Makes the pairs of a list of sources.

    Args:
        store: what gets them.
        compute: makes pairs from a batch of photos, in this process or elsewhere.
        settings: values to write into every record; `seed` is one of them.
        batch_size: how many photos of one size share a call of `compute`.
        workers: the number of threads that read, and of those that write.
        memory: how many bytes of this machine's memory `compute` takes for a photo of so many
            pixels; photos for which too little is free are left out. None asks for nothing.
    """

    def __init__(
        self,
        store: PairSink,
        compute: Compute,
        settings: Record,
        batch_size: int,
        workers: int,
        memory: Callable[[int], int] | None = None,
    ) -> None:
        self.store, self.compute, self.settings = store, compute, settings
        self.batch_size, self.workers, self.memory = batch_size, workers, memory
        self.summary = Summary()

    def run(self, sources: Sequence[Source], progress: bool = True, bar: tqdm | None = None) -> Summary:
        """Makes the pairs that are missing.

        Args:
            sources: photos and camera files. Bad ones are left out.
            progress: whether to show a bar.
            bar: a bar of the caller's to move on, in place of a new one.

        Returns:
            How many pairs were made and kept, and which sources were left out.

        Raises:
            UserError: the output folder cannot be written, on a full disk for example. Finished
                pairs are kept.
        """
        own = nullcontext(bar) if bar is not None else pair_bar(len(sources), progress)
        writers = ThreadPoolExecutor(self.workers, thread_name_prefix="write")
        writes: deque[tuple[Source, tuple[int, ...], Future[None]]] = deque()
        try:
            with own as self._bar:
                for batch in self._batches(self._read_ahead(self._unfinished(sources))):
                    for item, pair in zip(batch, self._compute(batch), strict=False):
                        writes.append((item.source, item.photo.shape, writers.submit(self._write, item, pair)))
                    while len(writes) > self.workers or (writes and writes[0][-1].done()):
                        self._settle(*writes.popleft())
                while writes:
                    self._settle(*writes.popleft())
        finally:
            writers.shutdown(wait=True, cancel_futures=True)
        return self.summary

    # ------------------------------------------------------------ stages

    def _unfinished(self, sources: Sequence[Source]) -> Iterator[Source]:
        for source in sources:
            if self.store.is_finished(source):
                self.summary.kept += 1
                self._bar.update()
            else:
                yield source

    def _read_ahead(self, sources: Iterator[Source]) -> Iterator[Input]:
        """Reads in threads, a few files ahead, and yields in order. Bad files are left out."""
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
        except Exception as error:  # of whatever parser: it costs this file
            self._skip(source, error, again=type(error) is UserError)  # the reader's process has ended, or was ended

    def _batches(self, inputs: Iterator[Input]) -> Iterator[list[Input]]:
        """Groups inputs of one size.

        Inputs whose size stays rare are computed in a smaller batch, so that few wait in memory.
        """
        waiting: dict[tuple[object, ...], list[Input]] = {}
        for item in inputs:
            group = waiting.setdefault(item.batch_key, [])
            group.append(item)
            if len(group) == self.batch_size:
                yield waiting.pop(item.batch_key)
            elif sum(map(len, waiting.values())) >= 2 * self.batch_size:
                yield waiting.pop(next(iter(waiting)))
        yield from waiting.values()

    def _compute(self, batch: list[Input]) -> Sequence[Callable[[], ComputedPair]]:
        needed = 0 if self.memory is None else self.memory(batch[0].photo.shape[0] * batch[0].photo.shape[1])
        available = available_memory()
        if available is not None and needed > available:  # the system would end this process
            size = width_x_height(batch[0].photo.shape)
            words = f"its pair takes about {needed / 1e9:.0f} GB of memory, {available / 1e9:.0f} GB are free"
            for item in batch:
                self._skip(item.source, f"{item.source.path}: {size} pixels: {words}; cut it into parts", again=True)
            return []
        known = [item.packed_raw for item in batch if item.packed_raw is not None]
        try:
            return self.compute([item.photo for item in batch], [self._seed(item) for item in batch], known)
        except (MemoryError, RuntimeError) as error:
            for item in batch:
                self._skip_large(item.source, item.photo.shape, error)
            return []

    def _seed(self, item: Input) -> int:
        return pair_seed(self.settings["seed"], item.fingerprint.sha256, item.source.repeat)

    def _write(self, item: Input, computed: Callable[[], ComputedPair]) -> None:
        pair = computed()
        record: dict[str, Any] = {
            **self.settings,
            "source": str(item.source.path),
            "source_path": item.source.place,
            "source_relative": item.source.relative,
            "source_bytes": item.source_bytes,
            **item.fingerprint.to_json("source_"),
            "from_camera_raw": item.packed_raw is not None,
            "height": item.photo.shape[0],
            "width": item.photo.shape[1],
            "bits": item.photo.dtype.itemsize * 8,
            "pair_seed": self._seed(item),
            **({"repeat": item.source.repeat} if item.source.repeat > 1 else {}),
            "shot_noise": pair.shot_noise,
            "read_noise": pair.read_noise,
            **pair.noise_origin,
        }
        self.store.write(item.source.name, pair.files, record)

    def _settle(self, source: Source, shape: tuple[int, ...], write: "Future[None]") -> None:
        try:
            write.result()
        except (MemoryError, RuntimeError) as error:
            self._skip_large(source, shape, error)
            return
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                self._skip(source, "its pair's name is too long for this folder; rename the file")
                return
            if error.errno in _FATAL or error.errno is None:
                raise UserError(
                    f"{self.store.folder}: cannot be written ({error.strerror or error}); make room or give another "
                    "--output; finished pairs are kept, the same command goes on"
                ) from None
            raise
        self.summary.made += 1
        self._bar.update()

    def _skip_large(self, source: Source, shape: tuple[int, ...], error: Exception) -> None:
        """Leaves out a photo for which memory was short. Raises any other error."""
        if not is_out_of_memory(error):
            raise error
        words = f"{source.path}: {width_x_height(shape)} pixels do not fit into memory; make it smaller"
        self._skip(source, words, again=True)

    def _skip(self, source: Source, error: Exception | str, again: bool = False) -> None:
        self.store.leave_out(source, self.summary.skip(source.path, error), again)
        self._bar.update()
        self._bar.set_postfix(skipped=len(self.summary.skipped))


def pair_bar(total: int, progress: bool) -> tqdm:
    """Returns the bar of a run that makes so many pairs."""
    return progress_bar(total=total, desc="pairs", unit="image", disable=not progress, smoothing=0.1)
