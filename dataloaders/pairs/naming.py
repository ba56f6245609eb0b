"""Names of pairs: that of the photo, and of further pairs of one photo NAME.r2, NAME.r3, ..."""

from collections.abc import Sequence
from dataclasses import replace

from cycleisp.dataloaders.sources import Source
from cycleisp.utils.errors import UserError
from cycleisp.utils.output.result_names import TakenNames, candidate_names


def with_names(sources: Sequence[Source], own: Sequence[str | None], taken: TakenNames) -> list[Source]:
    """Returns sources with the names of their pairs.

    Args:
        sources: all sources of a run, in the order that all processes give.
        own: the name that a source has already, or None. The others get names that no pair and no
            other source has: that of the photo without suffix, or else with it.
        taken: the names of the files that are there; the new names are added.
    """
    result = []
    for source, name in zip(sources, own, strict=True):
        if name is None:
            name = next(name for name in candidate_names(source.relative) if taken.are_free(files_of(name)))
            taken.add(files_of(name))
        result.append(replace(source, name=name))
    return result


def repeated(sources: Sequence[Source], repeats: int) -> list[Source]:
    """Returns each source as often as it is to have pairs: NAME, NAME.r2, NAME.r3, ...

    Args:
        sources: as `with_names` has returned them.
        repeats: the number of pairs of each.

    Raises:
        UserError: a photo has the name that another photo's repeat would get.
    """
    names = {source.name for source in sources}
    result = []
    for source in sources:
        result.append(source)
        for repeat in range(2, repeats + 1):
            name = f"{source.name}.r{repeat}"
            if name in names:
                raise UserError(f"{source.path}: its pair {repeat} would be {name}, as that of a photo; rename one")
            result.append(replace(source, name=name, repeat=repeat))
    return result


def files_of(name: str) -> list[str]:
    """Returns the names of a pair's files, without the folders that have them apart."""
    return [f"{name}.h5", f"{name}.png"]
