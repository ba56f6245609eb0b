"""The training loop's settings, which every training recipe has."""

from typing import Annotated, Literal

from pydantic import Field

from cycleisp.utils.config.values import BatchSize, NotNegative, Positive, Section, Workers
from cycleisp.utils.precisions import Precision

Decay = Annotated[float, Field(ge=0, lt=1)]


class Training(Section):
    """The training loop."""

    steps: Positive
    batch_size: BatchSize
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["step", "cosine"] = "step"
    # Step schedule: steps after which the rate is multiplied by `gamma`.
    milestones: list[Positive] = Field(default_factory=list)
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    warmup: NotNegative = 0  # cosine schedule: steps of linear rise
    final_learning_rate: Annotated[float, Field(ge=0)] = 0.0  # cosine schedule: rate at the last step
    gradient_clip: Annotated[float, Field(ge=0)] = 0.0  # largest gradient norm, 0 for none
    ema_decay: Decay = 0.0  # 0 for none
    precision: Precision = "auto"  # auto: bf16 on CUDA GPUs that compute in it, else float32
    compiled: bool = True  # on CUDA: compile the blocks, record the trunks
    save_memory: bool = False  # keep only the blocks' inputs, compute the rest again: a third slower, same result
    workers: Workers = 2  # loader processes
    log_every: Positive = 20
    checkpoint_every: Positive = 500
    validate_every: Positive = 2000


class TrainingRecipe(Section):
    """What every training recipe has."""

    seed: NotNegative = 0
    train: Training
