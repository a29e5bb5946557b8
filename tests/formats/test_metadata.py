"""What files say about themselves."""

import json
from dataclasses import replace

import pytest

from kcnn.errors import RunError
from kcnn.formats.metadata import Metadata

KNOWN = Metadata(
    class_names=["a cat", "ein „Hund“", "3\n4"],
    image_shape=(32, 48, 3),
    resize="pad",
    temperature=1.25,
    quantize=None,
    run="pets",
    model_sha256="0" * 64,
    version="1",
)


@pytest.mark.parametrize("quantize", [None, "int8", "float16"])
def test_it_is_read_as_it_was_written(quantize):
    known = replace(KNOWN, quantize=quantize)
    assert Metadata.from_texts(known.as_texts(), "x") == known
    assert Metadata.from_json(known.as_json(), "x") == known
    assert all(isinstance(text, str) for text in known.as_texts().values())


def test_it_says_how_an_image_becomes_pixels():
    decoding = json.loads(KNOWN.as_texts()["decoding"])
    assert decoding["size"] == [32, 48]
    assert "RGB" in decoding["channels"]
    assert "black" in decoding["resize"]


@pytest.mark.parametrize(
    "change", [{"class_names": "cat"}, {"image_shape": [32, 32]}, {"resize": "fold"}, {"temperature": "hot"}]
)
def test_what_is_not_kcnns_is_told_in_one_line(change):
    values = json.loads(KNOWN.as_json()) | change
    with pytest.raises(RunError, match="does not say"):
        Metadata.from_json(json.dumps(values), "x.onnx")


@pytest.mark.parametrize("text", [None, "", "[", "3", "{}"])
def test_metadata_that_are_none(text):
    with pytest.raises(RunError, match=r"x\.onnx does not say"):
        Metadata.from_json(text, "x.onnx")
    with pytest.raises(RunError):
        Metadata.from_texts({}, "x.onnx")
