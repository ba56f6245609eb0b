"""The networks of CycleISP."""

from networks.cycleisp import CycleISP, GuidedRaw2Rgb
from networks.denoiser import RawDenoiser, SrgbDenoiser
from networks.raw2rgb import ColorCorrection, Raw2Rgb
from networks.rgb2raw import Rgb2Raw

__all__ = ["ColorCorrection", "CycleISP", "GuidedRaw2Rgb", "Raw2Rgb", "RawDenoiser", "Rgb2Raw", "SrgbDenoiser"]
