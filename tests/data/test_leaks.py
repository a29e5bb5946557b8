"""The same image in two splits is an error."""

import numpy as np
import pytest

from kcnn.data import load
from kcnn.data.leaks import HEAD, check_leaks
from kcnn.data.listing import Listing
from kcnn.errors import DataError


def listing(*contents, where=""):
    return Listing([f"{index}.png" for index in range(len(contents))], ["a"] * len(contents), list(contents), where)


def test_different_images_pass():
    check_leaks({"train": listing(b"a", b"a", b"bb"), "test": listing(b"c", b"dd")})


def test_copies_are_counted_and_the_first_pair_is_named():
    splits = {
        "train": listing(b"x", b"y", where="p/train/"),
        "test": listing(b"z", b"y", b"x", where="p/test/"),
    }
    with pytest.raises(DataError, match=r"2 images lie.*'p/train/0.png \(train\)'.*'p/test/2.png \(test\)'"):
        check_leaks(splits)
    with pytest.raises(DataError, match="1 image lies"):
        check_leaks({"train": listing(b"x"), "validation": listing(b"x")})


def test_large_files_that_differ_late():
    start = bytes(HEAD)
    check_leaks({"train": listing(start + b"a"), "test": listing(start + b"b")})
    with pytest.raises(DataError, match="1 image lies"):
        check_leaks({"train": listing(start + b"a"), "test": listing(start + b"a")})


def test_empty_missing_and_array_contents_are_left_alone():
    check_leaks({"train": listing(b"", "/none"), "test": listing(b"", "/none")})
    check_leaks({"train": listing(b"x"), "test": Listing(["0"], ["a"], np.zeros((1, 2, 2, 1), "uint8"))})


@pytest.mark.parametrize("memory_limit", [4.0, 0.0])
@pytest.mark.parametrize("splits", [("train", "validation"), ("test",)])
def test_load_checks_splits_that_nobody_asked_for(tmp_path, write_classes, make_config, memory_limit, splits):
    write_classes(tmp_path, prefix="train/")
    write_classes(tmp_path, prefix="test/")
    copy = (tmp_path / "train/cat/003.png").read_bytes()
    (tmp_path / "test/dog/extra.png").write_bytes(copy)
    with pytest.raises(DataError, match=r"train/cat/003.png.*test/dog/extra.png"):
        load(make_config(tmp_path, memory_limit=memory_limit), 0, splits=splits)
