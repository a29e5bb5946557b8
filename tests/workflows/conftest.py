"""What several tests compare with."""

import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The run of `resumable.loaded()` that was not stopped."""
    from resumable import loaded

    from kcnn.workflows.fit import fit

    return fit(loaded(), out=tmp_path_factory.mktemp("whole"))
