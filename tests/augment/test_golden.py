"""The claim of this part: each backend gives the very same bytes.

golden.json holds a SHA-256 digest of what each augmentation makes of fixed pixels; each backend is tested against
the same file. KCNN_REWRITE_GOLDEN=1 rewrites it; review the difference, it means that recipes give other images.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from kcnn.registry import AUGMENTATIONS

GOLDEN = Path(__file__).with_name("golden.json")
NAMES = [name for name in AUGMENTATIONS.names() if not name.startswith("keras_cv_")]
SHAPES = [(7, 32, 32, 3), (7, 31, 17, 3), (7, 8, 8, 1)]
VARIANTS = {
    "crop, reflect": ("crop", {"fill": "reflect", "padding": 5}),
    "translate, edge": ("translate", {"fill": "edge", "height": 0.5, "width": 0.25}),
    "affine, reflect": ("affine", {"rotation": 180.0, "zoom": 0.5, "shear": 30.0, "fill": "reflect"}),
    "affine, edge": ("affine", {"rotation": 90.0, "zoom": 0.75, "shear": 45.0, "fill": "edge"}),
    "random_erasing, grey": ("random_erasing", {"fill": "grey", "probability": 1.0}),
    "rand_augment, strongest": ("rand_augment", {"num_ops": 4, "magnitude": 30, "fill": "reflect"}),
    "trivial_augment, edge": ("trivial_augment", {"fill": "edge"}),
    "mixup, half": ("mixup", {"alpha": 1.0, "probability": 0.5}),
}
CASES = {name: (name, {}) for name in NAMES} | VARIANTS


def digest(make, apply, name, options):
    total = hashlib.sha256()
    for seed, shape in enumerate(SHAPES):
        # Not a NumPy generator: its numbers may change with its version.
        pixels = np.frombuffer(hashlib.shake_256(bytes([seed])).digest(int(np.prod(shape))), dtype="uint8")
        layer = make(name, seed=seed, **options)
        total.update(apply(layer, pixels.reshape(shape), np.arange(shape[0]) * 7919 + 12345).tobytes())
        if hasattr(layer, "mix_labels"):
            position = np.arange(shape[0], dtype="int32")
            total.update(layer.mix_labels(np.eye(shape[0], dtype="float32"), position).tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("case", CASES)
def test_output_is_golden(case, make, apply):
    found = digest(make, apply, *CASES[case])
    golden = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    if os.environ.get("KCNN_REWRITE_GOLDEN") == "1":
        golden = {known: value for known, value in golden.items() if known in CASES} | {case: found}
        GOLDEN.write_text(json.dumps(golden, indent=2) + "\n", encoding="utf-8")
    assert found == golden[case]
