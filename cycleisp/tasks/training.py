"""Trains the networks: what the three training scripts do, as functions.

    from cycleisp.tasks.training import train_denoiser

    finished = train_denoiser("compact/denoiser_srgb.yaml", "runs/srgb", "srgb", photos=["photos"])

Everything about a run goes into its folder: `weights.safetensors` is the trained network, and
`checkpoint.ckpt` is what the same call resumes from; `report.html`, written at the end, shows how
it went. On a CPU a resumed run ends with the same bits as one that was never stopped. Photos are
decoded once before training, and bad ones are left out with a warning. To change a recipe before it
is used, read it with `cycleisp.utils.config.load_recipe`. Under torchrun the processes share each
batch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from torch import nn
from torch.utils.data import Dataset

from cycleisp.dataloaders.pairs.shards.local_copies import LocalCopies
from cycleisp.dataloaders.training.denoising_data import open_denoising_data
from cycleisp.dataloaders.training.isp_patches import open_isp_data
from cycleisp.dataloaders.training.view_patches import open_view_data
from cycleisp.networks.acceleration import record_trunks, to_device
from cycleisp.networks.denoiser import Denoiser
from cycleisp.networks.growth import go_on_from
from cycleisp.networks.objectives import (
    ColorMatchingObjective,
    DenoiserObjective,
    JointObjective,
    Raw2RgbObjective,
    Rgb2RawObjective,
)
from cycleisp.networks.pretrained import build, find_weights
from cycleisp.networks.synthesis.training_pairs import open_training_pairs
from cycleisp.networks.teachers import open_teachers
from cycleisp.tasks.run_start import RunStart
from cycleisp.utils.config import DenoiserRecipe, IspLoss, IspRecipe, TrainingRecipe, load_recipe
from cycleisp.utils.errors import UserError
from cycleisp.utils.images import Space
from cycleisp.utils.output.report.runs import report_at_end
from cycleisp.utils.training.launch import launch
from cycleisp.utils.training.objective import Objective
from cycleisp.utils.training.report import FILE_NAME, report_parts
from cycleisp.utils.training.trainer import MakeBatch, Trainer
from cycleisp.utils.weights.files import load_weights
from cycleisp.utils.weights.kinds import denoiser_for, sizes_for

Paths = Path | str | Sequence[Path | str]
Stage = Literal["raw2rgb", "joint", "matching"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Recipe = TypeVar("Recipe", bound=TrainingRecipe)


def train_rgb2raw(
    recipe: IspRecipe | Path | str,
    run_dir: Path | str,
    *,
    raw: Paths = (),
    photos: Paths = (),
    prepared: Path | str = "prepared",
    device: str = "auto",
    stop_after: float | None = None,
) -> bool:
    """Trains RGB2RAW, the branch that turns photos into sensor RAW.

    Args:
        recipe: the experiment, or the path or shipped name of its YAML file.
        run_dir: the folder of this run; an unfinished run in it is resumed.
        raw: camera RAW files, or folders of them.
        photos: clean photos for simulated cameras, or folders of them.
        prepared: the folder that RAW files are unpacked to.
        device: "auto", "cpu", "cuda" or "mps".
        stop_after: minutes after which to save and stop; None for no limit.

    Returns:
        True when the recipe is finished, False when the run was stopped early and saved.

    Raises:
        UserError: an impossible recipe or device, missing data, or a run of another recipe in
            `run_dir`. Options are named as those of the script.
    """
    recipe = _read(IspRecipe, recipe)
    fabric = launch(recipe, device)
    sizes = sizes_for("Rgb2Raw", recipe.network)
    network = build("Rgb2Raw", sizes, recipe.train.save_memory)
    objective = Rgb2RawObjective(recipe.loss.log_epsilon)
    with RunStart(Path(run_dir), recipe, fabric) as start:
        data = open_isp_data(recipe, _list(raw), _list(photos), Path(prepared), start.usable)
        return _fit(start, network, objective, data, recipe=recipe, sizes=sizes, stop_after=stop_after)


def train_raw2rgb(
    recipe: IspRecipe | Path | str,
    run_dir: Path | str,
    *,
    stage: Stage = "raw2rgb",
    raw: Paths = (),
    photos: Paths = (),
    prepared: Path | str = "prepared",
    isp: Path | str | None = None,
    rgb2raw: Path | str | None = None,
    raw2rgb: Path | str | None = None,
    device: str = "auto",
    stop_after: float | None = None,
) -> bool:
    """Trains RAW2RGB with its colour branch, or goes on with both directions together.

    Args:
        recipe: the experiment, or the path or shipped name of its YAML file.
        run_dir: the folder of this run; an unfinished run in it is resumed.
        stage: "raw2rgb" trains RAW2RGB and the colour branch. "joint" trains the whole CycleISP.
            "matching" trains the whole CycleISP to give a photo the colours of another view.
        raw: camera RAW files, or folders of them.
        photos: clean photos for simulated cameras, or folders of them.
        prepared: the folder that RAW files are unpacked to.
        isp: for joint and matching: a whole CycleISP to start from, by shipped name or path.
        rgb2raw: for joint and matching: a trained RGB2RAW to start from.
        raw2rgb: for joint and matching: a trained RAW2RGB with colour branch to start from.
        device: "auto", "cpu", "cuda" or "mps".
        stop_after: minutes after which to save and stop; None for no limit.

    Returns:
        True when the recipe is finished, False when the run was stopped early and saved.

    Raises:
        UserError: as `train_rgb2raw`; or weights to start from that cannot be used.
    """
    starts = {"": isp, "rgb2raw": rgb2raw, "guided_raw2rgb": raw2rgb}  # by the part that they fill
    if stage not in STAGES:
        raise ValueError(f"stage: expected one of {', '.join(STAGES)}, got {stage!r}")
    if stage == "raw2rgb" and any(starts.values()):
        raise UserError("--isp, --rgb2raw and --raw2rgb start the stages joint and matching; give --stage")
    recipe = _read(IspRecipe, recipe)
    fabric = launch(recipe, device)
    open_data = open_view_data if stage == "matching" else open_isp_data
    kind = "GuidedRaw2Rgb" if stage == "raw2rgb" else "CycleISP"
    sizes = sizes_for(kind, recipe.network)
    network = build(kind, sizes, recipe.train.save_memory)
    for part, weights in starts.items():
        if weights is not None:
            load_weights(network.get_submodule(part), find_weights(weights))
    objective = _isp_objective(stage, recipe.loss)
    with RunStart(Path(run_dir), recipe, fabric) as start:
        data = open_data(recipe, _list(raw), _list(photos), Path(prepared), start.usable)
        return _fit(start, network, objective, data, recipe=recipe, sizes=sizes, stop_after=stop_after)


def _isp_objective(stage: Stage, loss: IspLoss) -> Objective:
    if stage == "joint":
        return JointObjective(loss.log_epsilon, loss.beta, loss.true_raw_share)
    if stage == "matching":
        return ColorMatchingObjective(loss.log_epsilon, loss.beta)
    return Raw2RgbObjective()


def train_denoiser(
    recipe: DenoiserRecipe | Path | str,
    run_dir: Path | str,
    space: Space,
    *,
    photos: Paths = (),
    pairs: Paths = (),
    weights: str = "compact_isp",
    start: str | None = None,
    validation: Paths = (),
    copies: LocalCopies | None = None,
    device: str = "auto",
    stop_after: float | None = None,
) -> bool:
    """Trains a denoiser on synthetic pairs, of photos or from a folder of stored pairs.

    Args:
        recipe: the experiment, or the path or shipped name of its YAML file.
        run_dir: the folder of this run; an unfinished run in it is resumed.
        space: "srgb" for a denoiser of photos, "raw" for one of packed RAW.
        photos: clean photos, or folders of them. Pairs are made of them during training, with
            another noise level for every patch.
        pairs: folders of pairs, in place of photos: those that `cycleisp.tasks.generation` has
            filled; for sRGB also pictures noisy/NAME beside clean/NAME, and SIDD's sRGB sets. The
            recipe's `data.pair_shares` says how often each folder is drawn. A folder of shards, its
            list, and the URL of either, as of s3://, serve as well.
        weights: the CycleISP that makes pairs of photos, by shipped name or path.
        start: a denoiser to start from, of the recipe's sizes or with fewer groups or blocks.
        validation: folders of sRGB pairs, noisy/ and clean/, to measure on. Without any, the
            recipe's `data.holdout_share` of the photos or pairs is measured on, and not trained on.
        copies: where parts of remote shards are kept on this machine; None keeps none.
        device: "auto", "cpu", "cuda" or "mps".
        stop_after: minutes after which to save and stop; None for no limit.

    Returns:
        True when the recipe is finished, False when the run was stopped early and saved.

    Raises:
        UserError: as `train_rgb2raw`; or weights that cannot be used.
    """
    recipe = _read(DenoiserRecipe, recipe)
    fabric = launch(recipe, device)
    stored = _list(pairs)
    real = [Path(folder) for folder in _list(validation)]
    kind = denoiser_for(space, recipe.network)
    sizes = sizes_for(kind, recipe.network)
    network = build(kind, sizes, recipe.train.save_memory)
    if start:
        assert isinstance(network, Denoiser)
        go_on_from(network, start)
    make_batch = None  # stored pairs are used as they are
    if not stored:
        make_batch = open_training_pairs(recipe.synthesis, space, weights, fabric.device, recipe.train.precision)
    loss = recipe.loss
    names = loss.teachers if loss.teachers_share > 0 else ()
    teachers = open_teachers(names, space, fabric.device, loss.teachers_turned)
    objective = DenoiserObjective(loss.relative, loss.kind, loss.ceiling, teachers, loss.teachers_share)
    with RunStart(Path(run_dir), recipe, fabric) as begun:
        data = open_denoising_data(recipe, space, _list(photos), stored, real, begun.usable, copies)
        return _fit(
            begun, network, objective, data, recipe=recipe, sizes=sizes, stop_after=stop_after, make_batch=make_batch
        )


# ---------------------------------------------------------------- what all have in common


def _fit(
    start: RunStart,
    network: nn.Module,
    objective: Objective,
    data: tuple[Dataset[Any], Dataset[Any]],
    *,
    recipe: TrainingRecipe,
    sizes: Mapping[str, Any],
    stop_after: float | None,
    make_batch: MakeBatch | None = None,
) -> bool:
    """Trains a network on data for training and for validation; returns whether it is finished."""
    start.claim()
    fabric, compiled = start.fabric, recipe.train.compiled
    trainer = Trainer(
        fabric,
        to_device(network, fabric.device, compiled),
        objective,
        recipe=recipe,
        run_dir=start.folder,
        sizes=sizes,
        make_batch=make_batch,
        record=record_trunks if compiled else None,
    )
    finished: bool | None = None
    page = start.folder / FILE_NAME if fabric.is_global_zero else None
    with report_at_end(page, f"Training: {start.folder.name}", lambda: report_parts(start.folder, finished)):
        finished = trainer.fit(*data, stop_after=stop_after)
    return finished


def _read(kind: type[Recipe], recipe: Recipe | Path | str) -> Recipe:
    return load_recipe(kind, recipe) if isinstance(recipe, Path | str) else recipe


def _list(paths: Paths) -> list[str]:
    """Returns one path or several as a list of strings."""
    return [str(path) for path in ([paths] if isinstance(paths, Path | str) else paths)]
