"""Runs that a test may change."""

import shutil

from kcnn.run import Run


def copy_of(run, folder):
    """Return a copy of a run below `folder`."""
    return Run(shutil.copytree(run.path, folder / run.name))
