"""The checkpoint file: whole, proven, and one of two."""

import os

import numpy as np
import pytest

from kcnn import checkpoint
from kcnn.errors import CheckpointError

STATE = {
    "weights": [np.arange(6, dtype="float32").reshape(2, 3), np.array(7, "int64")],
    "callbacks": [{"score": [0.5, -1.25], "best": None, "rows": [{"epoch": 1, "loss": 0.1}]}, {}],
    "stopped": False,
    "array": "a word that the format uses too",
}


def test_what_is_read_is_what_was_saved(tmp_path):
    path = checkpoint.save(tmp_path, 12, STATE)
    found = checkpoint.latest(tmp_path)
    assert (found.step, found.path) == (12, path)
    for one, other in zip(found.state.pop("weights"), STATE["weights"], strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert found.state == {key: value for key, value in STATE.items() if key != "weights"}


def test_the_last_two_are_kept(tmp_path):
    for step in (1, 20, 300):
        checkpoint.save(tmp_path, step, STATE)
    assert [checkpoint.read(path).step for path in checkpoint.found(tmp_path)] == [300, 20]


def test_a_damaged_one_takes_nobodys_place(tmp_path):
    checkpoint.save(tmp_path, 100, STATE)
    damaged = checkpoint.save(tmp_path, 200, STATE)
    damaged.write_bytes(b"x")
    assert checkpoint.latest(tmp_path).step == 100
    for step in (110, 120):
        checkpoint.save(tmp_path, step, STATE)
    assert [path.name[:14] for path in checkpoint.found(tmp_path)] == ["step-000000120", "step-000000110"]


def test_an_empty_folder_has_none(tmp_path):
    assert checkpoint.latest(tmp_path) is None
    assert checkpoint.latest(tmp_path / "absent") is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "unreadable"])
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(tmp_path, damage):
    checkpoint.save(tmp_path, 1, STATE)
    path = checkpoint.save(tmp_path, 2, STATE)
    content = bytearray(path.read_bytes())
    if damage == "unreadable":
        path.unlink()
        path.mkdir()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes({"cut": content[:-7], "flip": content, "empty": b""}[damage])
    said = []
    assert checkpoint.latest(tmp_path, said.append).step == 1
    assert len(said) == 1
    assert path.name in said[0]


def test_only_damaged_ones_are_an_error(tmp_path):
    path = checkpoint.save(tmp_path, 1, STATE)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="Start the run again"):
        checkpoint.latest(tmp_path)


def test_a_write_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, STATE)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(tmp_path, 2, STATE)
    assert len(list(tmp_path.iterdir())) == 1
    assert checkpoint.latest(tmp_path).step == 1
