"""Which files a training keeps for validation: whole scenes, the same ones every time.

A scene is whatever shows the same thing: the frames of a burst, several noisy pictures of one
photo, the files of a folder. Validation on a scene that was trained on says nothing about new
pictures.
"""

import fnmatch
import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from cycleisp.dataloaders.photo_store import PhotoStore
from cycleisp.utils.config.values import HoldoutBy
from cycleisp.utils.errors import UserError

log = logging.getLogger(__name__)


def count_of(share: float, number: int) -> int:
    """Returns how many of a number of files a share of them is: at least one, unless it is 0."""
    return max(1, round(share * number)) if share > 0 else 0


def hold_out(scenes: Mapping[str, str], count: int, what: str) -> list[str]:
    """Chooses names to validate on.

    A hash of the names decides, so that the choice is the same everywhere and in any order. Whole
    scenes are chosen until there are `count` names; a scene that would hold out more than twice
    `count` is passed over. Where all names show one scene, single names are chosen, and where there
    is one name only, it is chosen although it is trained on as well. A warning tells both.

    Args:
        scenes: the scene of each name.
        count: how many names to hold out; 0 for none.
        what: what the names stand for, as "RAW files", for the warnings.

    Returns:
        The names, in the order of `scenes`.
    """
    if count == 0 or not scenes:
        return []
    if len(scenes) == 1:
        log.warning("only one of the %s: it is trained on and validated on, and such a validation proves nothing", what)
        return list(scenes)
    groups: dict[str, list[str]] = {}
    for name, scene in scenes.items():
        groups.setdefault(scene, []).append(name)
    if len(groups) == 1:
        log.warning("all %d %s are of one scene: validation on some of them proves little", len(scenes), what)
        groups = {name: [name] for name in scenes}
    elif len(groups) <= 3:
        log.warning("only %d %s, of %d scenes: validation on one scene proves little", len(scenes), what, len(groups))
    ordered = sorted(groups.values(), key=lambda names: _hash(min(names)))
    held: set[str] = set()
    for names in ordered:
        if len(held) < count and len(held) + len(names) <= 2 * count:
            held.update(names)
    if not held:
        held.update(sorted(ordered, key=len)[0])
    return [name for name in scenes if name in held]


def _hash(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()


def scenes_of(
    names: Sequence[str], taken: Mapping[str, datetime], by: HoldoutBy = "time", gap: float = 10.0
) -> dict[str, str]:
    """Groups files by scene.

    Args:
        names: the files, each by its path without suffix.
        taken: when the files were taken, where that is known. The others are scenes of their own.
        by: "time" makes one scene of files that were taken one shortly after the other, "folder" of
            all files in a folder; with "file" every file is a scene.
        gap: the longest pause within a scene, in seconds.

    Returns:
        The scene of each name, in the order of the names. A scene is called by one of its names, or
        by its folder.
    """
    if by == "folder":
        return {name: PurePosixPath(name).parent.as_posix() for name in names}
    scenes = {name: name for name in names}
    if by == "file":
        return scenes
    before: str | None = None
    for name in sorted((name for name in names if name in taken), key=lambda name: (taken[name], name)):
        if before is not None and taken[name] - taken[before] <= timedelta(seconds=gap):
            scenes[name] = scenes[before]
        before = name
    return scenes


def split_names(
    names: Sequence[str],
    holdout: Sequence[str] = (),
    holdout_count: int = 0,
    holdout_share: float = 0.0,
    scenes: Mapping[str, str] | None = None,
) -> tuple[list[str], list[str]]:
    """Splits the names of RAW pairs into those to train on and those to hold out.

    Args:
        names: the names of all pairs.
        holdout: shell patterns of names to hold out. One pattern can hold all files of one scene.
        holdout_count: how many more to hold out, in whole scenes, as `hold_out` chooses them. If
            there are not more names, a share of them is held out instead, with a warning.
        holdout_share: what share of the names to hold out where neither patterns nor a count are
            given; at least one name.
        scenes: the scene of each name. Without it, every name is a scene.

    Raises:
        UserError: a pattern fits no name, or the patterns leave nothing to train on.
    """
    fitting = {pattern: fnmatch.filter(names, pattern) for pattern in holdout}
    for pattern, found in fitting.items():
        if not found:
            raise UserError(
                f"holdout pattern {pattern!r} fits none of {len(names)} RAW pairs ({_some(names)}); name yours, or "
                "leave data.holdout out of the recipe (--set 'data.holdout=[]'), which holds out a share of any files"
            )
    held = {name for found in fitting.values() for name in found}
    count = holdout_count if holdout or holdout_count else count_of(holdout_share, len(names))
    rest = {name: scenes[name] if scenes else name for name in names if name not in held}
    if not rest:
        raise UserError(
            f"data.holdout names every one of {len(names)} RAW pairs, nothing is left to train on; name fewer"
        )
    if holdout_count >= len(rest):
        count = count_of(holdout_share or 0.1, len(rest))
        log.warning(
            "data.holdout_count is %d, there are only %d RAW files: %d is held out instead",
            holdout_count,
            len(rest),
            count,
        )
    held.update(hold_out(rest, count, "RAW files"))
    training = [name for name in names if name not in held]
    return training or list(names), [name for name in names if name in held]


def split_photos(photos: PhotoStore, share: float) -> tuple[PhotoStore, PhotoStore]:
    """Splits photos into those to train on and those to validate on.

    With a share of 0, or of a single photo, all are trained on and validated on.

    Args:
        photos: all photos.
        share: what share of them to hold out; at least one.
    """
    names = [source.name for source in photos.sources]
    held = hold_out({name: name for name in names}, count_of(share, len(names)), "photos")
    if not held or len(names) == 1:
        return photos, photos
    training = [name for name in names if name not in set(held)]
    log.info("%d photos to train on, %d held out", len(training), len(held))
    return photos.subset(training), photos.subset(held)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
