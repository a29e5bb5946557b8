"""Long loops tell how far they are; short ones, and those that nobody watches, cost nothing."""

import time

import pytest

from kcnn.data import counted as module
from kcnn.data import load
from kcnn.data.counted import counted


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second with each look at it."""
    ticks = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))


def told(items, total=None):
    calls = []
    assert list(counted(items, lambda *call: calls.append(call), "words", total)) == list(items)
    return calls


def test_a_short_loop_is_silent():
    assert told(range(100), 100) == []


def test_a_long_one_tells_its_end(clock, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 3)
    assert [done for done, _, _ in told(range(8), 8)] == [3, 6, 8]
    assert told([], 0) == []


def test_an_exception_passes(clock):
    def broken():
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(counted(broken(), lambda *call: None, "words"))


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_each_stage_of_a_load_tells_each_file(tmp_path, write_classes, make_config, monkeypatch, again):
    """What grows with the number of files: with a million of them each takes seconds."""
    monkeypatch.setattr(module, "SECONDS", 0)
    monkeypatch.setenv("KCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KCNN_CACHE_LIMIT", "1")
    config = make_config(write_classes(tmp_path / "pets", count=30), validation=0.3, test=0.2)
    if again:
        load(config, 0)
    calls = []
    dataset = load(config, 0, progress=lambda *call: calls.append(call))
    stages = {what: done for done, _, what in calls}
    trained = len(dataset.train) + len(dataset.validation)
    expected = {
        "files found": 60,
        "putting files in order": 60,
        "sorting images into classes": 60,
        "dividing off the test images": 60,
        "dividing off the validation images": trained,
        "looking at the files": trained,
        "looking for kept images": trained,
        "fingerprint of the data": trained,
    }
    if not again:
        expected |= {"comparing the images": stages["comparing the images"], "images": trained}
    assert stages == expected
    assert all(0 <= done <= (total or done) for done, total, _ in calls)
