"""The card of a network on the hub: the README.md that its web page shows."""

from huggingface_hub import ModelCard, ModelCardData

from cycleisp.networks.onnx_files.origins import Origin
from cycleisp.utils.weights.kinds import KINDS

LICENCES = {"Apache-2.0": "apache-2.0"}  # the hub's names of licences
TASKS = {
    "srgb": "denoises photos: display-encoded sRGB in [0, 1]",
    "raw": "denoises packed camera RAW of known noise: linear planes R, G_r, G_b, B in [0, 1]",
    None: "is a learned camera pipeline, or a part of one: between photos and camera RAW",
}
DENOISING = {
    "srgb": "denoised = cycleisp.denoise(photo, weights=network)",
    "raw": "denoised = cycleisp.denoise(packed_raw, weights=network, noise=(shot_noise, read_noise))  # two variances",
    None: "",
}


def card(kind: str, parameters: int, origin: Origin) -> ModelCard:
    """Returns the card of a network. It claims nothing that the weight file does not state.

    Args:
        kind: its class in `cycleisp.networks`.
        parameters: how many it has.
        origin: where its weights come from.
    """
    space = KINDS[kind].denoises
    licence = LICENCES.get(origin.licence)
    data = ModelCardData(
        library_name="cycleisp",
        license=licence or "other",
        license_name=None if licence else "see-the-card",
        pipeline_tag="image-to-image",
        tags=["cycleisp", "image-denoising" if space else "camera-pipeline", space or "raw"],
    )
    use = f'network = hub.{kind}.from_pretrained("OWNER/NAME")  # of this page\n{DENOISING[space]}'.strip()
    numbers = "\n".join(f"- {number}" for number in origin.numbers) or "None are recorded for these weights."
    recipe = "in the metadata of `model.safetensors`" if origin.recipe else "not stated in the weight file"
    return ModelCard(f"""---
{data.to_yaml()}
---

# {origin.name}

This network {TASKS[space]}. It is a `{kind}` of the Python package `cycleisp`, with {parameters:,}
parameters.

## Use

```python
import cycleisp
from cycleisp import hub

{use}
```

## Origin

| | |
|---|---|
| Licence | {origin.licence} |
| Training data | {origin.training_data} |
| Recipe of the training | {recipe} |
| SHA-256 of `model.safetensors` | `{origin.sha256}` |

## Results

{numbers}
""")
