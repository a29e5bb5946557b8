"""Folders of images, one a label."""

import shutil


def by_label(files, folder):
    """Copy files that are named LABEL_* to folder/LABEL/ and return the folder."""
    for file in files:
        target = folder / file.name.partition("_")[0] / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return folder
