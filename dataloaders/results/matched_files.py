"""Photos in, photos in the colours of others out: what match_colors.py does.

It takes single photos, folders, and films, whose colours do not flicker.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from cycleisp.dataloaders.results.films import Estimate, Film
from cycleisp.dataloaders.results.records import Settings
from cycleisp.dataloaders.results.result_folder import Result, ResultFolder
from cycleisp.dataloaders.results.summary import Summary
from cycleisp.dataloaders.results.view_pairs import ViewPair
from cycleisp.utils.errors import UserError, reading, reason
from cycleisp.utils.fingerprints import Fingerprint, file_sha256
from cycleisp.utils.output.picture_format import PNG, PictureFormat
from cycleisp.utils.output.progress import progress_bar

TABLE = ".cube"


class MatchedFiles:
    """Writes sources in the colours of their targets. Existing results are kept, to resume a run.

    `dataloaders/results/records.py` says which results count as existing.

    Args:
        estimate: finds the table that gives a source the colours of its target.
        smooth: for films, the standard deviation in frames of a Gaussian, cut at three of them, by
            which the table of a frame is averaged with those of its neighbours in the same folder.
            0 matches each frame alone.
        luts: whether to write the table that was applied, `NAME.cube`, beside each picture.
        overwrite: whether to overwrite existing results.
        form: the format of the pictures.
        settings: what else the results depend on, such as the weights; JSON values. Results of
            other settings are not mixed with them.
    """

    def __init__(
        self,
        estimate: Estimate,
        smooth: float = 0.0,
        luts: bool = False,
        overwrite: bool = False,
        form: PictureFormat = PNG,
        settings: Settings | None = None,
    ) -> None:
        self.estimate, self.smooth, self.luts, self.overwrite = estimate, smooth, luts, overwrite
        self.form, self.settings = form, {**(settings or {}), **form.to_json()}

    def run(self, pairs: Sequence[ViewPair]) -> Summary:
        """Matches every source.

        Bad ones are left out, of the averages too, and reported in the summary.

        Raises:
            UserError: a result cannot be written; or one is there that was made with other settings
                or, where the user has named the file, from another source.
        """
        summary, film = Summary(), Film(pairs, self.estimate, self.smooth)
        folder = ResultFolder(pairs[0].folder or pairs[0].output.parent, self.overwrite)
        results = self._plan(folder, pairs, film)
        tables: set[int] = set()  # the frames whose tables are found, or not needed
        done = 0
        steps = 2 if film.reach else 1  # a film's first frame needs the tables of many
        with progress_bar(total=steps * len(pairs), desc="matching", unit="step" if film.reach else "image") as bar:

            def show(number: int) -> None:
                tables.add(number)
                bar.update(done + (len(tables) if film.reach else 0) - bar.n)

            film.estimated = show
            for number, result in enumerate(results):
                try:
                    made = self._make(folder, result, film, number)
                except (UserError, ValueError, MemoryError) as error:
                    summary.skip(result.source.path, error)
                    bar.set_postfix(skipped=len(summary.skipped))
                except OSError as error:
                    where = folder.folder / result.outputs[0]
                    raise UserError(f"{where}: cannot be written ({reason(error)}); give another --output") from None
                else:
                    summary.made += made
                    summary.kept += not made
                done = number + 1
                show(number)
        return summary

    def _plan(self, folder: ResultFolder, pairs: Sequence[ViewPair], film: Film) -> list[Result]:
        """Finds the names of all results, and what each depends on."""
        settings = {**self.settings, "smooth": self.smooth}
        hashed = cache(_sha256_or_none)
        if pairs[0].one_for_all:
            settings["target_sha256"] = hashed(pairs[0].targets[0])
        suffixes = (self.form.suffix, TABLE) if self.luts else (self.form.suffix,)
        if pairs[0].folder is None:
            table = [pairs[0].output.with_suffix(TABLE).name] if self.luts else []
            results = [folder.plan_file(pairs[0].source, pairs[0].output.name, settings, table)]
        else:
            results = folder.plan([pair.source for pair in pairs], lambda _: suffixes, lambda _: settings)

        @cache
        def frame(number: int) -> str | None:
            record = results[number].record
            return _sha256_or_none(pairs[number].source.path, record.fingerprint if record is not None else None)

        planned = []
        for number, result in enumerate(results):
            others = [frame(near) for near in film.near(number) if near != number]
            if not pairs[number].one_for_all:
                others += [hashed(target) for near in film.near(number) for target in pairs[near].targets]
            digest = hashlib.sha256(" ".join(map(str, others)).encode()).hexdigest() if others else None
            planned.append(replace(result, others=digest))
        return planned

    def _make(self, folder: ResultFolder, result: Result, film: Film, number: int) -> bool:
        """Makes what is missing of a result. Returns False where that is nothing.

        Raises:
            UserError: the source cannot be matched.
            OSError: the folder cannot be written.
        """
        missing = folder.missing(result)
        if not missing:
            return False
        path = result.source.path
        with reading(path):
            fingerprint = folder.fingerprint(result)
        lut = film.lut(number)
        photo, metadata = film.read_source(path)
        made = {
            output: lut.to_cube(Path(output).stem).encode()
            if output.endswith(TABLE)
            else self.form.encode(lut.apply(photo), metadata, path)
            for output in missing
        }
        with folder.writing(result, fingerprint, missing) as parts:
            for output, content in made.items():
                parts[output].write_bytes(content)
        return True


def _sha256_or_none(path: Path, known: Fingerprint | None = None) -> str | None:
    """Returns the hash of a file, or None where it cannot be read."""
    try:
        return file_sha256(path) if known is None else Fingerprint.of(path, known).sha256
    except OSError:
        return None
