"""What several tests compare with."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The run of `resumable.loaded()` that was not stopped."""
    from resumable import loaded

    from kcnn.workflows.fit import fit

    return fit(loaded(), out=tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def half_once(tmp_path_factory):
    """A run that was killed in its second epoch."""
    from resumable import STEPS, At, kill, stopped

    return stopped(tmp_path_factory.mktemp("half"), At(kill, step=STEPS + 1))[0]


@pytest.fixture
def half(half_once, tmp_path):
    """A copy of it."""
    from kcnn.run import Run

    return Run(Path(shutil.copytree(half_once.path, tmp_path / "run")))
