"""What several tests compare with."""

import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The run of `resumable.loaded()` that was not stopped."""
    from resumable import loaded

    from kcnn.workflows.fit import fit

    return fit(loaded(), out=tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def short_timing():
    """Exports are timed for an instant: what they say of speed is not tested."""
    from kcnn.workflows import export

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "SECONDS", 0.01)
        yield
