"""CycleISP: realistic noisy/clean pairs of ordinary photos, and denoisers trained on them.

    cycleisp.load("compact_srgb")          a trained network
    cycleisp.denoise(image)                a photo or packed RAW without its noise
    cycleisp.synthesize(photo)             a noisy/clean pair of a clean photo
    cycleisp.PairDataset(photos, ...)      a PyTorch data set of such pairs

They are imported when they are first used. What works on files is in `cycleisp.tasks`.
`cycleisp.networks`, `cycleisp.dataloaders` and `cycleisp.utils` are the folders of these names at
the top of the repository.
"""

from typing import TYPE_CHECKING

__version__ = "0.9.0"
__all__ = ["PairDataset", "__version__", "denoise", "load", "synthesize"]

if TYPE_CHECKING:
    from cycleisp.api import denoise, load, synthesize
    from cycleisp.pair_dataset import PairDataset
else:

    def __getattr__(name: str) -> object:
        """Imports the public functions when they are first used, since PyTorch takes a second."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "PairDataset":
            from cycleisp.pair_dataset import PairDataset

            return PairDataset
        from cycleisp import api

        return getattr(api, name)

    def __dir__() -> list[str]:
        """Lists the public functions, which are not there yet, beside what is."""
        return sorted({*globals(), *__all__})
