"""Measure how well a source view takes the colours of a target view, where the truth is known.

    python benchmarks/color_matching.py --photos FOLDER... --weights compact_matching \\
        --output results/color_matching

Scenes: the Middlebury motorcycle that comes with scikit-image (left view the source, right view the
target, recorded 1.5 % darker), and two shifted crops of each photo. The target view's colours are
changed in a known way, and the truth is the source with the same change; for `undo` the source is
changed and the target is not. Methods: the source as it is; match_colors.py with each network; the
networks alone, first as a table fitted only to their rendering, then as the rendering itself;
histogram matching; Reinhard et al. (2001) and Monge-Kantorovich (mkl) of the package color-matcher.
All results have 8 bits.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.data import stereo_motorcycle
from skimage.exposure import match_histograms

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import BEGINS_AGAIN, labelled
from cycleisp.dataloaders.photos import read_photo
from cycleisp.dataloaders.sources import find_sources
from cycleisp.networks.inference.color_matching import WORKING_SIZE, ColorMatcher
from cycleisp.networks.pretrained import load_cycleisp
from cycleisp.utils.cli import run_script
from cycleisp.utils.color.color_change import ColorChange
from cycleisp.utils.color.color_lut import fit_color_lut
from cycleisp.utils.devices import pick_device
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import as_float, to_8bit
from cycleisp.utils.metrics import PSNR_8BIT, SSIM_8BIT, SSIM_WINDOW, psnr_8bit, ssim_8bit
from cycleisp.utils.output.contact_sheet import contact_sheet
from cycleisp.utils.output.files import write_bytes
from cycleisp.utils.output.png import encode_png
from cycleisp.utils.output.progress import progress_bar
from cycleisp.utils.version import code_version

ALL = ColorChange(gains=(1.3, 1.1, 0.8), gamma=0.85, contrast=0.4, saturation=1.3, hue=-12.0)
CHANGES = {
    "warm": ColorChange(gains=(1.5, 1.0, 1 / 1.5)),
    "cold": ColorChange(gains=(1 / 1.5, 1.0, 1.5)),
    "bright": ColorChange(gains=(1.3, 1.3, 1.3), gamma=1 / 1.3),
    "contrast": ColorChange(contrast=0.8),
    "vivid": ColorChange(saturation=1.5),
    "pale": ColorChange(saturation=0.5),
    "hue": ColorChange(hue=20.0),
    "all": ALL,
}
UNDO, MEASURES = "undo", ("ciede2000", "psnr", "ssim")
PICTURED, PICTURED_PHOTOS = ("warm", "hue", "all"), 2
EDGE_CROP, EDGE_WINDOW = 240, 15  # pixels: side of the crop at depth edges; window of the local range of disparity
CIEDE2000 = "CIEDE2000: colour difference of 8 bit sRGB under D65 (scikit-image), mean over pixels; 0 for equal images"

Photo = NDArray[np.uint8]  # (H, W, 3)
Method = Callable[[Photo, Photo], Photo]  # source, target -> the source in the target's colours


@dataclass(frozen=True)
class Scene:
    """Two views with equal colours, sizes and even sides; `edges` is a window where depths meet."""

    name: str
    source: Photo
    target: Photo
    edges: tuple[slice, slice] | None = None


def changed(photo: Photo, change: ColorChange) -> Photo:
    """Returns a photo with its colours changed."""
    return to_8bit(change.apply(as_float(photo)))


def depth_edges(disparity: NDArray, size: int) -> tuple[slice, slice]:
    """Returns rows and columns of the square with the most depth edges.

    That is the one with the largest mean local range of disparity, which is infinite where it is
    unknown.
    """
    known, window = np.isfinite(disparity), np.ones((EDGE_WINDOW, EDGE_WINDOW), np.uint8)
    highest = cv2.dilate(np.where(known, disparity, -1e6).astype(np.float32), window)
    lowest = cv2.erode(np.where(known, disparity, 1e6).astype(np.float32), window)
    height, width = (min(size, side) for side in disparity.shape)
    means = cv2.blur(np.maximum(highest - lowest, 0), (width, height), anchor=(0, 0))
    inside = means[: disparity.shape[0] - height + 1, : disparity.shape[1] - width + 1]
    top, left = (int(place) for place in np.unravel_index(np.argmax(inside), inside.shape))
    return slice(top, top + height), slice(left, left + width)


def motorcycle() -> Scene:
    """Returns the stereo pair of scikit-image."""
    left, right, disparity = stereo_motorcycle()
    rows, columns = (side // 2 * 2 for side in disparity.shape)
    left, right, disparity = (image[:rows, :columns] for image in (left, right, disparity))
    return Scene("motorcycle", left, right, depth_edges(disparity, EDGE_CROP))


def photo_scene(name: str, photo: NDArray, shift: float, longest: int) -> Scene:
    """Cuts two crops out of a photo.

    The target lies `shift` of the photo's width to the right of the source, and a third of that
    below it.

    Raises:
        UserError: the crops are too small to be compared.
    """
    scale = min(1.0, longest / max(photo.shape[:2]))
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
        photo = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    photo = to_8bit(as_float(photo))
    right = round(shift * photo.shape[1])
    down = round(right / 3)
    height, width = (photo.shape[0] - down) // 2 * 2, (photo.shape[1] - right) // 2 * 2
    if min(height, width) < SSIM_WINDOW:
        raise UserError(f"{name}: its views would be {width}x{height} pixels, less than SSIM's window of {SSIM_WINDOW}")
    return Scene(name, photo[:height, :width], photo[down : down + height, right : right + width])


def cases(scene: Scene) -> dict[str, tuple[Photo, Photo, Photo]]:
    """Returns source, target and truth of every change."""
    plain, target = scene.source, scene.target
    forwards = {name: (plain, changed(target, change), changed(plain, change)) for name, change in CHANGES.items()}
    return {**forwards, UNDO: (changed(plain, ALL), target, plain)}


def by_histograms(source: Photo, target: Photo) -> Photo:
    """Matches the histogram of each channel."""
    return to_8bit(match_histograms(as_float(source), as_float(target), channel_axis=-1))


def color_matcher_methods() -> tuple[dict[str, Method], str]:
    """Returns Reinhard and mkl of the package color-matcher, and its version."""
    try:
        import color_matcher  # GPL, so it is no requirement of this project
    except ImportError:
        raise UserError("Reinhard and mkl need the package color-matcher: pip install color-matcher (GPL)") from None

    def by(method: str, darkest: int) -> Method:
        def match(source: Photo, target: Photo) -> Photo:
            views = {"src": np.maximum(source, darkest), "ref": np.maximum(target, darkest)}
            matched = np.real(color_matcher.ColorMatcher().transfer(**views, method=method))  # mkl: complex at times
            if not np.isfinite(matched).all():
                raise UserError(f"color-matcher's {method} found no finite colours; has a view one colour only?")
            return to_8bit(matched / 255)

        return match

    # the package's Reinhard takes logarithms: one black pixel would spoil the whole picture
    return {"Reinhard": by("reinhard", darkest=1), "mkl": by("mkl", darkest=0)}, color_matcher.__version__


def network_methods(label: str, matcher: ColorMatcher, rendered: bool) -> dict[str, Method]:
    """Returns the methods of one network; `rendered` includes the networks alone."""

    def by_lut(source: Photo, target: Photo) -> Photo:
        return matcher.lut(as_float(source), as_float(target)).apply(source)

    def by_rendering(source: Photo, target: Photo) -> Photo:
        return to_8bit(matcher.render(as_float(source), as_float(target)))

    def by_table_of_rendering(source: Photo, target: Photo) -> Photo:
        pairs = (as_float(photo).reshape(-1, 3) for photo in (source, by_rendering(source, target)))
        return fit_color_lut(*pairs).apply(source)

    alone = {f"{label}, networks alone": by_table_of_rendering, f"{label}, rendered": by_rendering}
    return {label: by_lut, **(alone if rendered else {})}


def measure(result: Photo, truth: Photo) -> tuple[float, float, float]:
    """Returns CIEDE2000, PSNR and SSIM."""
    difference = deltaE_ciede2000(rgb2lab(truth), rgb2lab(result))
    return float(np.mean(difference)), psnr_8bit(result, truth), ssim_8bit(result, truth)


def score(scene: Scene, methods: Mapping[str, Method], pictures: Path | None) -> NDArray:
    """Returns the measures (methods, changes, 3) of a scene; draws it if `pictures` is given."""
    scores, rows = [], []
    for change, (source, target, truth) in cases(scene).items():
        results = {name: method(source, target) for name, method in methods.items()}
        scores.append([measure(result, truth) for result in results.values()])
        if change in PICTURED:
            captions = [f"{name} {measures[0]:.1f}" for name, measures in zip(results, scores[-1], strict=True)]
            views = [(f"{change}: source", source), ("target", target), ("truth", truth)]
            rows.append([*views, *zip(captions, results.values(), strict=True)])
    if pictures:
        write_bytes(pictures / f"{scene.name}.png", encode_png(contact_sheet(rows)))
    if pictures and scene.edges:
        cut = [[(caption, picture[scene.edges]) for caption, picture in row] for row in rows]
        write_bytes(pictures / f"{scene.name}_edges.png", encode_png(contact_sheet(cut, cell=EDGE_CROP)))
    return np.array(scores).swapaxes(0, 1)


def mean_scores(scores: NDArray) -> NDArray:
    """Averages (methods, changes, scenes, 3) over scenes and, as one more change, over everything.

    Only finite PSNRs count.

    Returns:
        (methods, changes + 1, 3)
    """
    finite = np.ma.masked_invalid(scores)
    means = np.ma.concatenate([finite.mean(axis=2), finite.mean(axis=(1, 2))[:, None]], axis=1)
    return np.ma.filled(means, np.nan)


def tables(means: Mapping[str, NDArray], methods: Sequence[str]) -> str:
    """Returns Markdown: a table of CIEDE2000 for each group of scenes, and one of PSNR / SSIM."""
    parts = []
    for group, by_method in means.items():
        rows = [[f"{difference:.2f}" for difference in by_change[:, 0]] for by_change in by_method]
        parts.append(_table([f"CIEDE2000, {group}", *CHANGES, UNDO, "mean"], methods, rows))
    overall = np.stack([by_method[:, -1] for by_method in means.values()], axis=1)  # (methods, groups, 3)
    rows = [[f"{psnr:.2f} / {ssim:.4f}" for _, psnr, ssim in by_group] for by_group in overall]
    return "\n\n".join([*parts, _table(["PSNR / SSIM", *means], methods, rows)])


def _table(head: list[str], names: Sequence[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([name, *row] for name, row in zip(names, rows, strict=True))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def named(values: NDArray, *names: Sequence[str]) -> Any:
    """Returns nested dictionaries, with a level for each axis.

    JSON has no infinity, which is the PSNR of equal images, so it becomes text.
    """
    if names:
        return {name: named(part, *names[1:]) for name, part in zip(names[0], values, strict=True)}
    return float(values) if np.isfinite(values) else str(values)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", nargs="+", default=[], type=Path, metavar="FOLDER", help="photos or folders")
    parser.add_argument("--no-motorcycle", action="store_true", help="use only the photos")
    parser.add_argument(
        "--weights",
        nargs="*",
        default=["compact_matching"],
        metavar="[LABEL=]NAME",
        help="shipped names or files; none to run only the methods without networks (default compact_matching)",
    )
    parser.add_argument("--no-rendered", action="store_true", help="leave out the networks alone, which are slow")
    parser.add_argument(
        "--working-size",
        type=int,
        default=WORKING_SIZE,
        help="longest side in pixels that networks see (default %(default)s)",
    )
    parser.add_argument(
        "--shift",
        type=float,
        default=0.1,
        help="of a photo's two crops, as part of the photo's width (default %(default)s)",
    )
    parser.add_argument(
        "--longest",
        type=int,
        default=800,
        help="longest side in pixels; larger photos are reduced to it (default %(default)s)",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="of the networks (default %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write to")
    return parser.parse_args()


def open_scenes(args: argparse.Namespace) -> list[Scene]:
    """Returns the scenes that the options name."""
    if not 0 <= args.shift < 1:
        raise UserError(f"--shift {args.shift}: expected a part of the width, at least 0 and less than 1")
    if args.no_motorcycle and not args.photos:
        raise UserError("no scene: name --photos, or leave out --no-motorcycle")
    scenes = [] if args.no_motorcycle else [motorcycle()]
    for source in find_sources(args.photos, raw=False, exclude=args.output):
        scenes.append(photo_scene(f"photos/{source.name}", read_photo(source.path), args.shift, args.longest))
    return scenes


def open_methods(args: argparse.Namespace) -> tuple[dict[str, Method], dict[str, str]]:
    """Returns the methods, and the versions of their parts."""
    statistical, package = color_matcher_methods()
    versions = {"this code": code_version(), "scikit-image": version("scikit-image"), "color-matcher": package}
    parts: list[dict[str, Method]] = [{"none": lambda source, _: source}]
    for item in args.weights:
        label, weights = labelled(item)
        isp, sha256 = load_cycleisp(weights)
        versions[label] = f"{weights} (SHA-256 {sha256})"
        matcher = ColorMatcher(isp.to(pick_device(args.device)), args.working_size)
        parts.append(network_methods(label, matcher, rendered=not args.no_rendered))
    parts += [{"histogram matching": by_histograms}, statistical]
    methods = {name: method for part in parts for name, method in part.items()}
    if len(methods) < sum(map(len, parts)) or len(versions) < len(args.weights) + 3:
        raise UserError("--weights: two things have one label; name the networks apart, as LABEL=NAME")
    return methods, versions


def groups(names: Sequence[str]) -> dict[str, list[int]]:
    """Groups the scenes: the motorcycle, the photos, and all if there are both."""
    kinds = [name.partition("/")[0] for name in names]
    found = {kind: [n for n, other in enumerate(kinds) if other == kind] for kind in dict.fromkeys(kinds)}
    return {**found, "all": list(range(len(names)))} if len(found) > 1 else found


def main() -> int:
    args = parse_args()
    scenes = open_scenes(args)
    methods, versions = open_methods(args)
    names, changes = [scene.name for scene in scenes], [*CHANGES, UNDO]
    drawn = names[: PICTURED_PHOTOS + (not args.no_motorcycle)]
    by_scene = []
    for scene in progress_bar(iterable=scenes, unit="scene"):
        by_scene.append(score(scene, methods, args.output / "pictures" if scene.name in drawn else None))
    scores = np.stack(by_scene, axis=2)  # (methods, changes, scenes, 3)
    means = {f"{group} ({len(chosen)})": mean_scores(scores[:, :, chosen]) for group, chosen in groups(names).items()}
    definitions = f"Means over scenes. {CIEDE2000}. {PSNR_8BIT}. {SSIM_8BIT}."
    used = ", ".join(f"{name} {number}" for name, number in versions.items())
    text = f"{tables(means, list(methods))}\n\n{definitions}\n\nVersions: {used}.\n"
    print(text)
    write_bytes(args.output / "table.md", text.encode())
    record = {
        "versions": versions,
        **{key: getattr(args, key) for key in ("shift", "longest", "working_size")},
        "changes": {name: asdict(change) for name, change in CHANGES.items()},
        "means": {group: named(part, list(methods), [*changes, "mean"], MEASURES) for group, part in means.items()},
        "scenes": named(scores, list(methods), changes, names, MEASURES),
    }
    write_bytes(args.output / "results.json", json.dumps(record, indent=1).encode())
    return 0


if __name__ == "__main__":
    run_script(main, after_stop=BEGINS_AGAIN)
