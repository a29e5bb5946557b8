"""Real processes, real signals: a training killed at any moment ends with the bits of the one that was not."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from resumable import SETTINGS, assert_same

from kcnn import checkpoint, recipe
from kcnn.run import Run
from kcnn.workflows.fit import fit

# Each kills its own process in the middle of the write of a checkpoint that comes after so many others.
MOMENTS = {
    "half is written": "Path.write_bytes = lambda path, data: (write(path, data[:len(data) // 2]), die())[0]",
    "it has no name yet": "os.fsync = lambda handle: die()",
    "the old ones are still there": "Path.unlink = lambda path, **options: die()",
}
CHILD = """
import os, signal
from pathlib import Path
from kcnn import checkpoint

saved = checkpoint.save
calls = []
write = Path.write_bytes

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def save(*arguments):
    calls.append(1)
    if len(calls) == {count}:
        {moment}
    return saved(*arguments)

checkpoint.save = save
from kcnn.cli import main
main()
"""


def command(backend_name, *arguments, code=None):
    start = ["-c", code] if code else ["-m", "kcnn"]
    return subprocess.Popen(
        [sys.executable, *start, "fit", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend_name},
    )


def as_options(settings):
    return [part for setting in settings for part in ("--set", setting)]


def test_kill_9_while_a_checkpoint_is_written(tmp_path, whole, backend_name):
    arguments = ["smoke", "--out", tmp_path, "--name", "run", *as_options((*SETTINGS, "run.checkpoint_seconds=0"))]
    run = Run(tmp_path / "run")
    for moment in MOMENTS.values():
        process = command(backend_name, *arguments, code=CHILD.format(count=5, moment=moment))
        _, err = process.communicate(timeout=180)
        assert process.returncode == -signal.SIGKILL, err
        assert checkpoint.latest(run.checkpoints) is not None
        arguments = ["--resume", run.path]
    process = command(backend_name, *arguments)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert_same(run, whole)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_kill_9_at_any_moment(tmp_path, backend_name, seed, long_whole):
    """Two kills a run, at random: each somewhere within the 160 steps, to a fraction of a step."""
    draw = random.Random(seed)
    arguments = ["smoke", "--out", tmp_path, "--name", "run", *as_options(LONG)]
    run = Run(tmp_path / "run")
    process = command(backend_name, *arguments)
    target = 0
    for _ in range(2):
        target = draw.randrange(target, 150)
        while process.poll() is None and newest_step(run) < target:
            time.sleep(0.001)
        time.sleep(draw.random() * 0.03)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run was over before it was killed"
        process = command(backend_name, "--resume", run.path)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert_same(run, long_whole)


LONG = (*SETTINGS, "epochs=10", "data.limit=1000", "run.checkpoint_seconds=0", "callbacks.early_stopping.patience=99")


@pytest.fixture(scope="module")
def long_whole(tmp_path_factory):
    return fit(recipe.load("smoke", LONG), out=tmp_path_factory.mktemp("long"))


def newest_step(run):
    steps = [int(checkpoint.NAME.fullmatch(path.name)[1]) for path in checkpoint.found(run.checkpoints)]
    return steps[0] if steps else -1
