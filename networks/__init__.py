"""The networks of CycleISP, and what runs them.

    blocks, companding, blur      what the networks are made of
    rgb2raw, raw2rgb, cycleisp    the camera pipeline in both directions
    denoiser                      the paper's denoisers for RAW and for sRGB
    gated_denoiser                U-shaped ones: more quality for their time
    pretrained, growth            building networks, and filling them with weights
    objectives                    what they are trained for
    acceleration, fast/           running them in less time and memory
    inference/                    large photos, batches, colour matching
    synthesis/                    noisy/clean pairs

Every class that this package exports has an entry in the table utils/weights/kinds.py.
"""

from cycleisp.networks.cycleisp import CycleISP, GuidedRaw2Rgb
from cycleisp.networks.denoiser import RawDenoiser, SrgbDenoiser
from cycleisp.networks.gated_denoiser import RawGatedDenoiser, SrgbGatedDenoiser
from cycleisp.networks.raw2rgb import ColorCorrection, Raw2Rgb
from cycleisp.networks.rgb2raw import Rgb2Raw

__all__ = [
    "ColorCorrection",
    "CycleISP",
    "GuidedRaw2Rgb",
    "Raw2Rgb",
    "RawDenoiser",
    "RawGatedDenoiser",
    "Rgb2Raw",
    "SrgbDenoiser",
    "SrgbGatedDenoiser",
]
