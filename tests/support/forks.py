"""Runs of the scripts that can be killed or stopped at any moment.

To wait for PyTorch only once, a process of its own imports the scripts and is forked for every
run. What a run imports besides, it imports for the runs that follow. As a module, this file is that
process; as `Forks` it is the test's side of it.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from tests.support.paths import ROOT

MARK = "CYCLEISP_TEST_RUN"  # an environment variable, by which processes of a run are known
LONGEST = 60  # seconds for a run, and for its end after a signal
REGISTRY = "CYCLEISP_TEST_REGISTRY"  # the folder of a registry in the place of the shipped one


@dataclass(frozen=True)
class Ended:
    """What became of a run.

    Attributes:
        status: its exit status; -9 if it was killed.
        seconds: how long it ran.
        writes: how often it opened, renamed or removed files of its folder, or made folders.
        err: what it printed on standard error.
    """

    status: int
    seconds: float
    writes: int
    err: str


class Forks:
    """The process that is forked. Close it by `with`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def __enter__(self) -> "Forks":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(timeout=60) == 0

    def run(
        self,
        script: str,
        *options: object,
        folder: Path,
        after: float | None = None,
        at_write: int | None = None,
        number: int = signal.SIGKILL,
        **environment: str,
    ) -> Ended:
        """Runs a script in a fork, and checks that nothing of it stays behind.

        Args:
            script: the name of its module.
            options: of its command line.
            folder: the folder that it writes to.
            after: seconds after which it gets a signal; None lets it end.
            at_write: before which of the `writes` it gets a signal.
            number: the signal. The run gets a minute to end by it.
            environment: variables to set.
        """
        request = {
            "script": script,
            "options": list(map(str, options)),
            "folder": str(folder),
            "after": after,
            "at_write": at_write,
            "number": number,
            "environment": environment,
        }
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        assert not answer.pop("left"), "processes outlived their run"
        return Ended(**answer)


# ------------------------------------------------------------ in the process that is forked


def _main() -> None:
    import cv2
    import numpy as np
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    import calibrate_camera  # noqa: F401
    import denoise  # noqa: F401
    import download_models  # noqa: F401
    import generate_data  # noqa: F401
    import match_colors  # noqa: F401
    import test_sidd  # noqa: F401
    import train_denoiser  # noqa: F401
    from cycleisp.tasks import benchmarks, calibration, denoising, downloads, generation, matching, training  # noqa: F401
    from cycleisp.utils.raw.dng.lossless_jpeg import encode_lossless_jpeg

    encode_lossless_jpeg(np.zeros((2, 2), np.uint16))  # loads what Numba has compiled, once for all runs
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), file=answers, flush=True)


def _run(request: dict[str, Any]) -> dict[str, Any]:
    mark = os.urandom(8).hex()
    folder = Path(request["folder"])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        (folder.parent / "stderr").open("w+b") as err,
        (folder.parent / "writes").open("w+b") as writes,
        (folder.parent / "modules").open("w+b") as modules,
    ):
        begun = time.monotonic()
        child = os.fork()
        if child == 0:
            _become(request, mark, err, writes, modules)
        group, status, sent = child, None, False
        while status is None:
            ended, code = os.waitpid(child, os.WNOHANG)
            if ended:
                status = os.waitstatus_to_exitcode(code)
            elif not sent and request["after"] is not None and time.monotonic() - begun > request["after"]:
                os.kill(child, request["number"])  # the process alone: the others have to notice
                sent = True
            elif time.monotonic() - begun > (request["after"] or LONGEST) + LONGEST:
                os.kill(child, signal.SIGKILL)
            else:
                time.sleep(0.002)
        seconds = time.monotonic() - begun
        err.seek(0)
        words = err.read().decode(errors="replace")
        counted = os.fstat(writes.fileno()).st_size
        modules.seek(0)
        imported = modules.read().decode().split()
    left = _left(group, mark)
    for module in imported:
        with contextlib.suppress(Exception):  # some are no files but made by others: not this way
            importlib.import_module(module)
    return {"status": status, "seconds": seconds, "writes": counted, "err": words, "left": left}


def _become(request: dict[str, Any], mark: str, err: IO[bytes], writes: IO[bytes], modules: IO[bytes]) -> None:
    """Becomes the script. It does not return."""
    status, known = 70, set(sys.modules)
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(err.fileno(), 1)
        os.dup2(err.fileno(), 2)
        os.environ.update(request["environment"], **{MARK: mark})
        main = importlib.import_module(request["script"]).main
        _count_writes(request["folder"], request["at_write"], writes.fileno(), request["number"])
        if request["script"] == "test_sidd":
            _small_blocks()
        if request["script"] == "test_dnd":
            from tests.support.dnd import SMALL

            main = partial(main, SMALL)
        if registry := os.environ.get(REGISTRY):
            from cycleisp.utils.weights import folders

            folders.SHIPPED = Path(registry)
        from cycleisp.utils.boundary import run_script

        sys.argv = [f"{request['script']}.py", *request["options"]]
        try:
            run_script(main)
        except SystemExit as left:
            status = int(left.code or 0)
        modules.write("\n".join(name for name in list(sys.modules) if name not in known).encode())
        modules.flush()
        import threading

        threading._shutdown()  # type: ignore[attr-defined]  # joins threads, as the end of Python does
        import atexit

        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _count_writes(folder: str, last: int | None, writes: int, number: int) -> None:
    """Notes each time that a file of a folder is about to be written; at one, sends a signal."""
    owner, count = os.getpid(), 0

    def watch(event: str, args: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in ("open", "os.rename", "os.remove", "os.mkdir") or os.getpid() != owner:
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        if not isinstance(args[0], (str, os.PathLike)) or not os.fspath(args[0]).startswith(folder):
            return
        count += 1
        os.write(writes, b".")
        if count == last:
            os.kill(owner, number)

    sys.addaudithook(watch)


def _small_blocks() -> None:
    """Gives test_sidd.py small blocks, and a square in the place of a network."""
    from dataclasses import replace

    from cycleisp.dataloaders import protocols
    from cycleisp.tasks import benchmarks
    from tests.support.sidd import SIDE

    protocols.SIDD_SIDE = SIDE
    benchmarks.BatchDenoiser = lambda *_: lambda noisy, _variance=None: noisy * noisy  # type: ignore[assignment, misc]
    for space, protocol in protocols.SIDD.items():  # SSIM takes a while
        protocols.SIDD[space] = replace(protocol, measures={"psnr": protocol.measures["psnr"]})  # type: ignore[index]


def _left(group: int, mark: str, patience: float = 15) -> list[str]:
    """Returns the processes of a run that are still there after a while."""
    end = time.monotonic() + patience
    while True:
        left = []
        try:
            os.killpg(group, 0)
            left.append(f"group {group}")
        except ProcessLookupError:
            pass
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                    left.append(process.name)
            except OSError:
                continue
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.01)


if __name__ == "__main__":
    _main()
