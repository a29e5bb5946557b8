import os
import subprocess
import sys

import pytest

from kcnn import backend
from kcnn.errors import BackendError

about_tensorflow = pytest.mark.skipif("tensorflow" not in backend.installed(), reason="TensorFlow is not installed")


def test_the_argument_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(backend, "installed", lambda: ["torch", "jax"])
    assert backend.choose("torch") == backend.Choice("torch", "asked for with --backend")
    assert backend.choose().name == "jax"


def test_without_a_wish_an_installed_one_is_taken_and_the_reason_said(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(backend, "installed", lambda: ["torch", "jax"])
    assert backend.choose() == backend.Choice("torch", "the first of torch, jax")
    monkeypatch.setattr(backend, "installed", lambda: ["jax"])
    assert backend.choose().reason == "the only one installed"


@pytest.mark.parametrize(
    ("name", "found", "message"),
    [
        ("torch", ["jax"], r"not installed. Install it with: pip install 'kcnn\[torch\]'"),
        ("tensorfow", ["jax"], "Did you mean 'tensorflow'"),
        ("mxnet", ["jax"], "Expected one of: tensorflow, torch, jax"),
        (None, [], "No framework is installed"),
    ],
)
def test_a_wrong_choice_says_how_to_mend_it(monkeypatch, name, found, message):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(backend, "installed", lambda: found)
    with pytest.raises(BackendError, match=message):
        backend.choose(name)


def test_another_backend_after_keras_is_refused(backend_name, other_backends):
    import keras  # noqa: F401

    for other in other_backends:
        with pytest.raises(BackendError, match="start a new process"):
            backend.select(other)


def test_float32_is_computed_in_full_unless_the_user_decides_otherwise(monkeypatch, backend_name):
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    monkeypatch.setenv("JAX_DEFAULT_MATMUL_PRECISION", "default")
    backend.select(backend_name)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    assert os.environ["JAX_DEFAULT_MATMUL_PRECISION"] == "default"


@pytest.mark.parametrize("device", ["gpu:x", "cuda", "tpu"])
def test_a_device_of_another_form_is_refused(device, backend_name):
    with pytest.raises(BackendError, match="'gpu:N'"):
        backend.select(backend_name, device)


@pytest.mark.parametrize(
    ("lent", "device", "expected"),
    [
        (None, "gpu:3", "3"),
        ("4,5", "gpu:1", "5"),
        ("MIG-1f", "gpu:0", "MIG-1f"),
        ("4,5", "gpu", "4,5"),
        ("4", "cpu", "-1"),
    ],
)
def test_a_device_is_one_of_those_that_are_visible(monkeypatch, backend_name, lent, device, expected):
    for name in ("JAX_PLATFORMS", "KERAS_TORCH_DEVICE"):
        monkeypatch.setenv(name, "cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", lent or "")
    if lent is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    if device == "cpu":
        for name in ("JAX_PLATFORMS", "KERAS_TORCH_DEVICE"):
            monkeypatch.delenv(name)
    backend.select(backend_name, device)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == expected
    for name in ("JAX_PLATFORMS", "KERAS_TORCH_DEVICE"):
        assert os.environ.get(name) == ("cpu" if device == "cpu" else None)


def test_each_variable_of_full_float32_is_set(monkeypatch, backend_name):
    for name in backend.FULL_FLOAT32:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    backend.select(backend_name)
    assert (os.environ["NVIDIA_TF32_OVERRIDE"], os.environ["JAX_DEFAULT_MATMUL_PRECISION"]) == ("0", "highest")


def test_children_share_a_gpu(tmp_path):
    from kcnn.workflows._child import Child

    found = Child("m", "jax", tmp_path).environment
    assert (found["XLA_PYTHON_CLIENT_PREALLOCATE"], found["TF_FORCE_GPU_ALLOW_GROWTH"]) == ("false", "true")


@pytest.mark.parametrize(("lent", "why"), [("4,5", "4,5 counts from gpu:0 to gpu:1"), ("", " hides every GPU")])
def test_a_device_beyond_those_that_are_visible_is_refused(monkeypatch, backend_name, lent, why):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", lent)
    with pytest.raises(BackendError, match=f"CUDA_VISIBLE_DEVICES={why}"):
        backend.select(backend_name, "gpu:2")


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(backend, "devices", lambda name: ["cpu:0 cpu"])
    with pytest.raises(BackendError, match="No GPU is visible to jax"):
        backend.check_device("jax", "gpu:1")
    backend.check_device("jax", "cpu")


def test_old_keras_is_called_unsafe(monkeypatch):
    monkeypatch.setattr(backend, "versions", lambda: {"keras": "3.8.0"})
    assert "unsafe" in backend.unsafe_keras()
    monkeypatch.setattr(backend, "versions", lambda: {"keras": "3.15.1"})
    assert backend.unsafe_keras() is None


def test_only_the_chosen_framework_is_imported(backend_name, tmp_path):
    """A whole run must never touch another framework, whether that is installed or not."""
    code = (
        "import sys\n"
        f"from kcnn import backend, recipe\nbackend.select({backend_name!r})\n"
        "from kcnn.workflows.fit import fit\nfrom kcnn.workflows.evaluate import evaluate\n"
        f"evaluate(fit(recipe.load('smoke', ('epochs=1',)), out={str(tmp_path)!r}))\n"
        f"others = set(backend.BACKENDS) - {{{backend_name!r}}}\n"
        "assert not others & set(sys.modules), others & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr


@about_tensorflow
@pytest.mark.once
def test_tensorflow_says_nothing_of_what_it_compiles():
    code = (
        "from kcnn import backend\nbackend.select('tensorflow')\nimport tensorflow as tf\n"
        "tf.function(lambda x: tf.math.erf(x) + 1, jit_compile=True)(tf.zeros((3, 4)))\n"
        "import os\nassert 'TF_CPP_MIN_LOG_LEVEL' not in os.environ"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_CPP", "KERAS_BACK"))}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, env=environment
    )
    assert result.stderr == ""


@about_tensorflow
@pytest.mark.once
def test_tensorflow_beside_another_backend_leaves_the_gpu_alone_before_it_computes():
    """Told later it refuses, and has taken the GPU's memory."""
    code = (
        "import tensorflow; from tensorflow.python.eager import context; from kcnn import backend; "
        "tell = lambda devices, kind: print(devices, kind, context.context()._initialized); "
        "tensorflow.config.set_visible_devices = tell; backend.import_tensorflow_quietly(without_gpu=True)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "[] GPU False", result.stderr
