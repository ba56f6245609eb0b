"""PNG without OpenCV, as where only the packages of ONNX Runtime are: equal values are stored."""

import sys

import cv2
import numpy as np
import pytest

from cycleisp.utils.output.png import encode_png
from tests.support.pictures import random_picture


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1, 2), (7, 5)])
def test_values_come_back(dtype: type, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    photo = random_picture(*size, dtype)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "cv2", None)
        content = encode_png(photo)
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded[..., ::-1], photo)
