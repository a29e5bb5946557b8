"""The encoded images that a file which decodes by itself is compared on."""

from types import SimpleNamespace

import numpy as np
import pytest

from kcnn.data.decode import peek
from kcnn.workflows import _encoded


@pytest.mark.parametrize(
    ("side", "most", "expected"),
    [
        (20, 2**24, {(52, 34), (26, 62), (170, 170)}),
        (20, 1600, {(40, 34), (26, 40), (40, 40)}),  # as of a model whose images are large
        (20, 100, {(20, 20)}),
    ],
)
def test_images_are_enlarged_as_far_as_they_can_be_decoded(tmp_path, monkeypatch, side, most, expected):
    monkeypatch.setattr(_encoded, "LARGEST", most)
    images = np.zeros((5, side, side, 3), "uint8")
    found = SimpleNamespace(images=images, original=lambda position: None)
    paths = _encoded.samples(found, tmp_path / "encoded")
    assert {peek(path)[1::-1] for path in paths} == expected
    assert _encoded.decoded(paths, (side, side, 3), "crop").shape == (len(paths), side, side, 3)
