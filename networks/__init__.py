"""The networks of CycleISP."""

from cycleisp.networks.cycleisp import CycleISP, GuidedRaw2Rgb
from cycleisp.networks.denoiser import RawDenoiser, SrgbDenoiser
from cycleisp.networks.raw2rgb import ColorCorrection, Raw2Rgb
from cycleisp.networks.rgb2raw import Rgb2Raw

__all__ = ["ColorCorrection", "CycleISP", "GuidedRaw2Rgb", "Raw2Rgb", "RawDenoiser", "Rgb2Raw", "SrgbDenoiser"]
