"""MATLAB v7.3 files: what is wrong with one is its own fault, and other scales are found."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from cycleisp.dataloaders.matlab.v73 import open_v73, wrong_scale
from cycleisp.utils.errors import UserError
from tests.support.dnd import write_array


def complaint(reason: str) -> UserError:
    return UserError(f"bad file ({reason})")


def test_arrays_appear_transposed(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    with open_v73(write_array(tmp_path / "a.mat", "x", values), complaint) as file:
        np.testing.assert_array_equal(file["x"][()], values.T)


def test_whatever_goes_wrong_is_the_fault_of_the_file(tmp_path: Path) -> None:
    path = write_array(tmp_path / "a.mat", "x", np.zeros((2, 2)))
    with pytest.raises(UserError, match=r"bad file .*'y' doesn't exist"), open_v73(path, complaint) as file:
        file["y"]
    with pytest.raises(UserError, match=r"bad file .another shape."), open_v73(path, complaint):
        raise ValueError("another shape")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="bad file"), open_v73(path, complaint):
        pass
    with pytest.raises(UserError, match="bad file"), open_v73(tmp_path / "nowhere.mat", complaint):
        pass


def test_other_errors_pass_through(tmp_path: Path) -> None:
    path = write_array(tmp_path / "a.mat", "x", np.zeros((2, 2)))
    with pytest.raises(KeyboardInterrupt), open_v73(path, complaint):
        raise KeyboardInterrupt


@pytest.mark.parametrize("values", [[0, 1], [-0.5, 1.5], [-1, 2]])
def test_values_around_the_unit_interval_are_on_its_scale(values: list[float]) -> None:
    assert wrong_scale(np.array(values)) is None


@pytest.mark.parametrize("values", [[0, 255], [-2, 0], [0, np.nan], [0, np.inf]])
def test_values_far_from_it_are_not(values: list[float]) -> None:
    assert str(wrong_scale(np.array(values))).startswith("expected values in [0, 1], got ")


def test_a_variable_that_claims_more_than_is_stored_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.mat"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (1 << 14, 1 << 14), "f4", chunks=(1 << 14, 1 << 14), compression="gzip")
    assert path.stat().st_size < 10_000
    with pytest.raises(UserError, match=r"bad file \(x claims 1,073,741,824 bytes"), open_v73(path, complaint):
        pass


def test_a_variable_beyond_the_limit_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "bomb.mat"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (1 << 20, 1 << 20), "f8", chunks=(1, 1 << 10), compression="gzip")
    with pytest.raises(UserError, match="CYCLEISP_MAX_BYTES"), open_v73(path, complaint):
        pass


def test_empty_variables_and_compressed_ones_pass(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    with h5py.File(path, "w") as file:
        file.create_dataset("empty", (0, 3), "f8")
        file.create_dataset("#refs#/even", data=np.zeros((512, 512)), compression="gzip")
    with open_v73(path, complaint) as file:
        assert file["#refs#/even"][3, 3] == 0
