"""CycleISP: realistic noisy/clean pairs from ordinary photos, and denoisers trained on them.

The rooms of the package lie at the top of the repository: `cycleisp.networks`, `cycleisp.dataloaders` and
`cycleisp.utils` are its folders networks, dataloaders and utils.
"""

__version__ = "0.1.0"
