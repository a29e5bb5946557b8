"""Checkpoints of a training: files that appear whole, prove themselves by a hash, and are kept two at a time."""

import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kcnn.errors import CheckpointError
from kcnn.files import atomic

KEPT = 2
NAME = re.compile(r"step-(\d{9})-([0-9a-f]{32})\.npz")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        step: Training steps done, counted over the whole training.
        state: A tree of dicts with string keys, lists, arrays, numbers, strings, booleans and None.
        path: The file it was read from.
    """

    step: int
    state: dict[str, Any]
    path: Path


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write a checkpoint whole or not at all, remove all but the last two, and return its path.

    The file is an .npz whose name holds the step and a hash of the content.
    """
    content = _to_bytes(state)
    path = folder / f"step-{step:09d}-{_digest(content)}.npz"
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    others = [old for old in found(folder) if old != path]
    # What stands behind this step is damaged, or of a training that this one does not go on from.
    before = [old for old in others if old.name < f"step-{step:09d}"]
    for old in others:
        if old not in before[: KEPT - 1]:
            old.unlink()
    return path


def found(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, newest first, without looking into them."""
    paths = folder.iterdir() if folder.is_dir() else []
    return sorted((path for path in paths if NAME.fullmatch(path.name)), reverse=True)


def latest(folder: Path, say: Callable[[str], None] = lambda message: None) -> Checkpoint | None:
    """Return the newest checkpoint that is undamaged, or None where there is none at all.

    Args:
        folder: Where `save` put them.
        say: Called with a sentence about each damaged one.

    Raises:
        CheckpointError: There are checkpoints, but every one is damaged.
    """
    paths = found(folder)
    for path in paths:
        try:
            return read(path)
        except CheckpointError as error:
            say(f"{error} It is passed over.")
    if paths:
        raise CheckpointError(f"No checkpoint in {folder} is undamaged. Start the run again.")
    return None


def read(path: Path) -> Checkpoint:
    """Return a checkpoint; raise `CheckpointError` where its content is not what its name says."""
    name = NAME.fullmatch(path.name)
    if name is None:
        raise CheckpointError(f"{path.name} is no checkpoint's name.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"Checkpoint {path} cannot be read: {error.strerror}.") from error
    if _digest(content) != name[2]:
        raise CheckpointError(f"Checkpoint {path} is damaged: its content does not match its hash.")
    return Checkpoint(int(name[1]), _from_bytes(content), path)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _to_bytes(state: dict[str, Any]) -> bytes:
    arrays: list[np.ndarray] = []

    def encode(value: Any) -> Any:
        if isinstance(value, dict):
            return {"dict": {name: encode(item) for name, item in value.items()}}
        if isinstance(value, list):
            return {"list": [encode(item) for item in value]}
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return {"array": len(arrays) - 1}
        return value

    tree = json.dumps(encode(state))
    file = io.BytesIO()
    named: dict[str, Any] = {f"array{index}": array for index, array in enumerate(arrays)}
    np.savez(file, tree=np.array(tree), **named)
    return file.getvalue()


def _from_bytes(content: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:

        def decode(value: Any) -> Any:
            if not isinstance(value, dict):
                return value
            if "dict" in value:
                return {name: decode(item) for name, item in value["dict"].items()}
            if "list" in value:
                return [decode(item) for item in value["list"]]
            return file[f"array{value['array']}"]

        return decode(json.loads(str(file["tree"])))
