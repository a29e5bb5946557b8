"""What tests of exported files share; the run and its exports are the fixture `exported`."""

import pytest

from kcnn.formats.exported import Exported
from kcnn.registry import FORMATS

TEMPERATURE = 1.7  # of the run that is exported

each_format = pytest.mark.parametrize("name", FORMATS.names())


def opened(run, name, **options):
    """Open an export in this process, or skip where this backend keeps its runtime out."""
    if name in ("savedmodel", "torch") and run.known_environment()["backend"] != FORMATS.get(name).WRITTEN_ON:
        pytest.skip("the other frameworks are left out of this process")
    return Exported.open(run.exports / name, **options)
