"""Who explains for a server opens the model late, and lets its owner choose the backend before."""

import subprocess
import sys

CODE = """
import sys
import numpy as np
from kcnn.errors import RunError
from kcnn.serving.explainer import Explainer

def opened():
    calls.append("keras" in sys.modules)
    raise RunError("not yet")

calls = []
explainer = Explainer(opened)
assert not calls
for _ in range(2):
    try:
        explainer([(np.zeros((8, 8, 1), "uint8"), 0, "grad_cam")])
    except RunError:
        pass
print(calls)
"""


def test_keras_is_imported_by_whoever_opens_the_model_and_a_failure_is_tried_again():
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert result.stdout == "[False, False]\n"
