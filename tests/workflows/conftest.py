"""What several tests compare with."""

import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The run of `resumable.loaded()` that was not stopped."""
    from resumable import loaded

    from kcnn.workflows.fit import fit

    return fit(loaded(), out=tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="session")
def measured(smoke_run, tmp_path_factory):
    """A copy of the smoke run, and what `evaluate` found about it, corruptions included."""
    from copied_runs import copy_of

    from kcnn.workflows.evaluate import evaluate

    run = copy_of(smoke_run, tmp_path_factory.mktemp("measured"))
    return run, evaluate(run, corruptions=True)
