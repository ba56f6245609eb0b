"""The networks on the Hugging Face hub: `from_pretrained` and `push_to_hub`, as the hub has them.

    from cycleisp import hub

    network = hub.SrgbDenoiser.from_pretrained("OWNER/NAME")     from the hub
    network = hub.SrgbDenoiser.from_pretrained("compact_srgb")   from shipped weights, or a file
    network.push_to_hub("OWNER/NAME")

Each class is the one of the same name in `cycleisp.networks`, with the hub's mixin. The package
huggingface_hub is needed, the extra `hub`; nothing else in `cycleisp` imports it.
"""

from cycleisp.utils.errors import UserError

try:
    from cycleisp.hub.shared_networks import (
        ColorCorrection,
        CycleISP,
        GuidedRaw2Rgb,
        Raw2Rgb,
        RawDenoiser,
        RawGatedDenoiser,
        Rgb2Raw,
        SharedNetwork,
        SrgbDenoiser,
        SrgbGatedDenoiser,
        from_pretrained,
    )
except ModuleNotFoundError as error:
    if error.name != "huggingface_hub":
        raise
    raise UserError("the hub needs a package that is not installed: pip install huggingface_hub") from None

__all__ = [
    "ColorCorrection",
    "CycleISP",
    "GuidedRaw2Rgb",
    "Raw2Rgb",
    "RawDenoiser",
    "RawGatedDenoiser",
    "Rgb2Raw",
    "SharedNetwork",
    "SrgbDenoiser",
    "SrgbGatedDenoiser",
    "from_pretrained",
]
