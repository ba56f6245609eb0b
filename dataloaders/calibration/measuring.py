"""The measurement of sorted frames, one ISO setting after the other."""

from functools import partial

from tqdm import tqdm

from cycleisp.dataloaders.calibration.unpacked import unpacked
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.raw.calibration.grouping import Sorting
from cycleisp.utils.raw.calibration.setting import SettingEstimate, calibrate_setting

_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


def measure(sorting: Sorting) -> dict[float, SettingEstimate]:
    """Returns the estimates of every ISO setting, in digital numbers.

    A file that cannot be read any more is added to the unusable ones.

    Raises:
        CalibrationError: the temporary folder is full.
    """
    estimates: dict[float, SettingEstimate] = {}
    with progress_bar(total=len(sorting.settings), desc="measuring", unit="setting", bar_format=_BAR) as bar:
        for done, (iso, placed) in enumerate(sorting.settings.items()):
            bar.set_postfix(iso=f"{iso:g}")
            with unpacked(placed, sorting.unusable) as frames:
                if frames:
                    estimates[iso] = calibrate_setting(frames, partial(_show, bar, done))
            _show(bar, done + 1)
    return estimates


def _show(bar: tqdm, done: int, share: float = 0.0) -> None:
    """Moves a bar to a number of settings and the share of the next one."""
    bar.update(done + share - bar.n)
