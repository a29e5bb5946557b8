"""The fingerprint changes with the data, and with nothing else."""

import numpy as np
import pytest

from kcnn.data.fingerprint import fingerprint
from kcnn.data.listing import Listing


def listing(**changes):
    values = {"names": ["a/1.png", "b/2.png"], "labels": ["a", "b"], "contents": [b"one", b"two"], "where": "x/"}
    return Listing(**{**values, **changes})


BEFORE = fingerprint({"train": listing()})


def test_it_is_the_same_wherever_the_bytes_are(tmp_path):
    (tmp_path / "1").write_bytes(b"one")
    (tmp_path / "2").write_bytes(b"two")
    moved = listing(contents=[str(tmp_path / "1"), str(tmp_path / "2")], where="y/")
    assert fingerprint({"train": moved}) == BEFORE
    assert len(BEFORE) == 32


def test_it_is_what_it_was():
    """Or no unfinished run could go on, and no finished one would know its images again."""
    assert BEFORE == "2d09a1af0127fc3a1e8df291b2dbaab2"


@pytest.mark.parametrize(
    "changed",
    [
        {"train": listing(names=["a/1.png", "b/3.png"])},
        {"train": listing(labels=["a", "a"])},
        {"train": listing(contents=[b"one", b"twO"])},
        {"train": listing(contents=[b"onet", b"wo"])},
        {"validation": listing()},
        {"train": listing(), "validation": listing()},
        {"train": listing(names=["a/1.png"], labels=["a"], contents=[b"one"])},
    ],
)
def test_it_changes_with_names_labels_contents_and_splits(changed):
    assert fingerprint(changed) != BEFORE


def test_arrays_count_pixel_by_pixel():
    images = np.zeros((2, 4, 4, 1), "uint8")
    before = fingerprint({"train": listing(contents=images)})
    images[1, 3, 3, 0] = 1
    assert fingerprint({"train": listing(contents=images)}) != before


def test_progress_ends_at_the_count():
    told = []
    fingerprint({"train": listing(), "validation": listing()}, lambda *values: told.append(values))
    assert told[-1][:2] == (4, 4)
