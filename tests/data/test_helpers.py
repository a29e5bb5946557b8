"""Helpers change how fast images are decoded, and nothing else."""

import os
import pickle
import sys

import numpy as np
import pytest

from kcnn.data import decode as decode_module
from kcnn.data import helpers
from kcnn.data.content import Member, Spool
from kcnn.data.decode import Decoders, decode_many, decode_some

SHAPE = (6, 4, 3)


@pytest.fixture
def started(monkeypatch):
    """Let three processes help wherever there are a few images; return those that were started."""
    monkeypatch.setattr(decode_module, "WORTH_A_HELPER", 10)
    monkeypatch.setattr(decode_module, "CHUNK", 5)
    monkeypatch.setattr(decode_module, "cores", lambda: 4)
    found = []
    start = helpers._start

    def noted():
        found.append(start())
        return found[-1]

    monkeypatch.setattr(helpers, "_start", noted)
    return found


@pytest.fixture
def contents(tmp_path, write_image):
    """Sixty images as paths, bytes, extents of a spool and members of an archive; each tenth is damaged."""
    spool = Spool()
    found = []
    for index in range(60):
        path = write_image(tmp_path, f"{index}.png", size=(9, 8))
        data = path.read_bytes()
        if index % 10 == 7:
            data = data[: len(data) // 2]
            path.write_bytes(data)
        member = Member(Archive({index: data}), index, len(data), b"")
        found.append([str(path), data, spool.append(data), member][index % 4])
    return found


class Archive(dict):
    def content(self, number):
        return self[number]

    def __reduce__(self):
        raise AssertionError("a whole archive was sent for one of its members")


@pytest.fixture
def expected(contents):
    out = np.zeros((60, *SHAPE), "uint8")
    bad = decode_some(contents, SHAPE, "crop", out)
    assert len(bad) == 6
    return out, bad


def check(contents, expected, progress=None):
    out = np.zeros_like(expected[0])
    assert decode_many(contents, SHAPE, "crop", out=out, progress=progress) == expected[1]
    np.testing.assert_array_equal(out, expected[0])


def test_results_are_the_same_and_helpers_are_gone(started, contents, expected):
    check(contents, expected)
    assert decode_many(contents, SHAPE, "crop") == expected[1]
    assert len(started) == 6
    assert all(process.poll() is not None for process in started)


def test_rows_that_no_image_has_are_a_mistake(contents, expected):
    """A helper would wait for its next task, and who asked it for the rest of the rows."""
    with pytest.raises(ValueError, match="61 rows, 60 images"):
        decode_many(contents, SHAPE, "crop", out=np.zeros((61, *SHAPE), "uint8"))


def test_a_helper_answers(contents, expected):
    """Each image is decoded by a helper: this process only asks."""
    with helpers.Helpers(1) as one:
        helper = one._free.get()
        out = np.zeros_like(expected[0])
        assert helpers._ask(helper, contents, SHAPE, "crop", out) == expected[1]
    np.testing.assert_array_equal(out, expected[0])


def test_helpers_that_die_are_done_without(started, contents, expected, monkeypatch):
    monkeypatch.setattr(helpers, "PROGRAM", "import sys; sys.stdin.buffer.read(1)")
    check(contents, expected)
    assert len(started) == 3


@pytest.mark.parametrize("answer", ["pickle.dumps([])[:3]", "pickle.dumps([])", "pickle.dumps([]) + bytes(9)"])
def test_an_answer_that_is_cut_off_is_done_without(started, contents, expected, monkeypatch, answer):
    program = f"import pickle, sys; sys.stdin.buffer.read(1); sys.stdout.buffer.write({answer})"
    monkeypatch.setattr(helpers, "PROGRAM", program)
    check(contents, expected)
    assert len(started) == 3


def test_helpers_that_are_killed_at_work_are_done_without(started, contents, expected):
    def kill(done):
        for process in started:
            process.kill()

    check(contents, expected, progress=kill)
    assert len(started) == 3
    assert all(process.poll() == -9 for process in started)


def test_a_mistake_in_a_helper_is_raised(started, contents, monkeypatch):
    """Here and there the same code runs, so that it surfaces where its traceback can be read."""

    def mistaken(*arguments):
        raise ZeroDivisionError("a mistake in decoding")

    monkeypatch.setattr(helpers, "PROGRAM", "import sys; sys.stdin.buffer.read(1); 1 / 0")
    monkeypatch.setattr(decode_module, "decode_some", mistaken)
    with pytest.raises(ZeroDivisionError, match="a mistake in decoding"):
        decode_many(contents, SHAPE, "crop")
    assert all(process.poll() is not None for process in started)


def test_contents_that_cannot_be_sent_are_a_mistake(started, contents):
    contents[0] = lambda: None
    with helpers.Helpers(1) as one, pytest.raises((AttributeError, pickle.PicklingError), match="pickle"):
        one.decode_some(contents, SHAPE, "crop", None)


@pytest.mark.parametrize("executable", [None, "/no/such/python"])
def test_helpers_that_cannot_start_are_done_without(started, contents, expected, monkeypatch, executable):
    monkeypatch.setattr(sys, "executable", executable)
    check(contents, expected)
    assert started == []


def test_a_frozen_application_starts_none(started, contents, expected, monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    check(contents, expected)
    assert started == []


def test_an_interruption_ends_the_helpers(started, contents):
    def interrupt(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode_many(contents, SHAPE, "crop", progress=interrupt)
    assert len(started) == 3
    for process in started:
        assert process.poll() is not None
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)


def test_few_images_start_none(started, contents):
    decode_many(contents[:9], SHAPE, "crop")
    assert started == []


def test_helpers_start_once_many_have_come(started, contents, expected):
    out = np.zeros_like(expected[0])
    bad = []
    with Decoders(None) as decoders:
        for start, helpers_then in ((0, 0), (6, 1), (12, 1), (18, 2), (24, 3)):
            part = slice(start, start + 6 if start < 24 else None)
            bad += [
                (start + index, why) for index, why in decoders.decode(contents[part], SHAPE, "crop", out=out[part])
            ]
            assert len(started) == helpers_then
    assert bad == expected[1]
    np.testing.assert_array_equal(out, expected[0])
    assert all(process.poll() is not None for process in started)
