"""Pieces of pictures: where they lie in stored ones, and that they come out as in the whole."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cycleisp.utils.crop import Crop, inside, surrounded
from cycleisp.utils.errors import UserError
from cycleisp.utils.orientation import ORIENTATIONS, as_stored, upright
from cycleisp.utils.padding import pad_to_multiple

PATH = Path("a.png")


class Local(nn.Module):
    """A network without pooling: it works on blocks of `multiple` pixels, and sees far."""

    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.multiple, self.halo = multiple, 3 * multiple
        torch.manual_seed(0)
        channels = 3 * multiple**2
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(multiple),
            *(layer for _ in range(3) for layer in (nn.Conv2d(channels, channels, 3, padding=1), nn.Tanh())),
            nn.PixelShuffle(multiple),
        )

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        return self.layers(pad_to_multiple(image, self.multiple))[..., :height, :width]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_window_in_a_stored_picture_is_the_piece_that_is_seen(orientation: int) -> None:
    seen = np.arange(20 * 30).reshape(20, 30)
    stored = as_stored(seen, orientation)
    for crop in (Crop(3, 5, 7, 4), Crop(0, 0, 30, 20), Crop(29, 19, 1, 1)):
        window = crop.window(*stored.shape, PATH, orientation)
        expected = seen[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
        np.testing.assert_array_equal(upright(stored[window], orientation), expected)


@pytest.mark.parametrize("multiple", [1, 2, 4])
@pytest.mark.parametrize("size", [(61, 75), (64, 72), (9, 75)], ids=str)
def test_without_pooling_a_piece_is_exact(multiple: int, size: tuple[int, int]) -> None:
    network = Local(multiple)
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))
    whole = network(image)
    height, width = size
    for crop in (Crop(0, 0, 5, 3), Crop(31, 2, 9, 7), Crop(width - 3, height - 2, 3, 2), Crop(0, 0, width, height)):
        window = crop.window(height, width, PATH)
        grown = surrounded(window, height, width, network.halo, multiple)
        piece = network(image[(..., *grown)])[(..., *inside(window, grown))]
        torch.testing.assert_close(piece, whole[(..., *window)], atol=1e-6, rtol=0)


def test_a_piece_has_no_more_around_it_than_the_halo_and_the_grid() -> None:
    window = Crop(101, 50, 10, 10).window(1000, 2000, PATH)
    assert surrounded(window, 1000, 2000, halo=20, multiple=4) == (slice(28, 80), slice(80, 132))
    assert surrounded(window, 65, 115, halo=20, multiple=4) == (slice(28, 65), slice(80, 115))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected X,Y,W,H in whole pixels"),
        ("1,2,3", "expected X,Y,W,H in whole pixels"),
        ("1,2,3,x", "expected X,Y,W,H in whole pixels"),
        ("1,2,3.5,4", "expected X,Y,W,H in whole pixels"),
        ("1,2,3,4,5", "expected X,Y,W,H in whole pixels"),
        ("1,2,3,99999999999999999999", "expected X,Y,W,H in whole pixels"),
        ("-1,2,3,4", "--crop -1,2,3,4: expected X and Y of at least 0"),
        ("1,2,0,4", "--crop 1,2,0,4: expected X and Y of at least 0, and W and H of at least 1 pixel"),
        ("1,2,3,-4", "--crop 1,2,3,-4: expected X and Y"),
    ],
)
def test_text_that_names_no_piece_is_refused(text: str, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        Crop.parse(text)


def test_a_piece_beyond_the_upright_picture_is_refused() -> None:
    assert Crop.parse(" 10, 20, 5,6") == Crop(10, 20, 5, 6)
    Crop(10, 20, 20, 10).window(30, 40, PATH)
    Crop(10, 20, 20, 20).window(30, 40, PATH, orientation=6)  # which is shown 30 wide and 40 high
    with pytest.raises(UserError, match=r"a\.png: --crop 10,20,20,20 reaches beyond the picture of 40x30 pixels"):
        Crop(10, 20, 20, 20).window(30, 40, PATH)
