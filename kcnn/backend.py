"""The one owner of KERAS_BACKEND: which framework and device Keras will use, and why."""

import contextlib
import importlib
import importlib.metadata
import os
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, ClassVar

from kcnn import compiled
from kcnn.errors import BackendError
from kcnn.registry import did_you_mean

# In the order of preference when nobody chose: the speed of each on a CPU (docs/design.md, 15).
BACKENDS = ("tensorflow", "torch", "jax")
AUTO = "auto"  # with --backend: the one that finishes first, which only a verb that trains can find out

# Older releases run code hidden in .keras files (CVE-2025-1550, CVE-2025-9905, CVE-2025-49655 and kin).
OLDEST_SAFE_KERAS = (3, 15, 1)

# Else GPUs round what they multiply in float32 to 10 bits (TF32), and each framework at other places; who sets the
# variables decides otherwise.
FULL_FLOAT32 = {"NVIDIA_TF32_OVERRIDE": "0", "JAX_DEFAULT_MATMUL_PRECISION": "highest"}

# For processes of several frameworks on one GPU, so that none takes all of its memory.
SHARED_GPU = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


@dataclass(frozen=True)
class Choice:
    """A backend, and the reason why it was chosen, in words."""

    name: str
    reason: str


def installed() -> list[str]:
    """Return the backends whose framework is installed, best first, importing none of them."""
    return [name for name in BACKENDS if PathFinder.find_spec(name) is not None]


def current() -> str | None:
    """Return the backend that Keras runs on in this process, or None before Keras is imported."""
    keras = sys.modules.get("keras")
    return keras.config.backend() if keras else None


def choose(name: str | None = None, reason: str = "asked for with --backend") -> Choice:
    """Return the backend to use: `name` for the given reason, else KERAS_BACKEND, else an installed one.

    Raises:
        BackendError: The name is unknown, or its framework is not installed.
    """
    if name:
        choice = Choice(name, reason)
    elif os.environ.get("KERAS_BACKEND"):
        choice = Choice(os.environ["KERAS_BACKEND"], "from KERAS_BACKEND")
    elif installed():
        found = installed()
        reason = "the only one installed" if len(found) == 1 else f"the first of {', '.join(found)}"
        choice = Choice(found[0], reason)
    else:
        raise BackendError(
            "No framework is installed. Install one of them: "
            "pip install 'kcnn[jax]', 'kcnn[torch]' or 'kcnn[tensorflow]'."
        )
    if choice.name == AUTO:
        raise BackendError(
            f"The backend 'auto' ({choice.reason}) is for `kcnn fit --backend auto`, which measures a recipe. "
            f"Name one of: {', '.join(BACKENDS)}."
        )
    if choice.name not in BACKENDS:
        hint = did_you_mean(choice.name, BACKENDS) or f" Expected one of: {', '.join(BACKENDS)}."
        raise BackendError(f"Unknown backend {choice.name!r} ({choice.reason}).{hint}")
    if choice.name not in installed():
        raise BackendError(
            f"The backend {choice.name!r} ({choice.reason}) is not installed. "
            f"Install it with: pip install 'kcnn[{choice.name}]'"
        )
    return choice


def select(name: str | None = None, device: str | None = None, reason: str = "asked for with --backend") -> Choice:
    """Make a backend and a device those that Keras takes when it is first imported.

    Args:
        name: One of `BACKENDS`, or None to let `choose` decide.
        device: "cpu", "gpu", "gpu:N", or None for the framework's own choice.
        reason: Why `name`, in words.

    Raises:
        BackendError: As `choose`; or Keras already runs on another backend; or the device is not of that form.
    """
    choice = choose(name, reason)
    if current() not in (None, choice.name):
        raise BackendError(f"Keras already runs on {current()!r}; start a new process for {choice.name!r}.")
    _select_device(device)
    os.environ["KERAS_BACKEND"] = choice.name
    for name, value in FULL_FLOAT32.items():
        os.environ.setdefault(name, value)
    if not any(isinstance(finder, _OthersLeftOut) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OthersLeftOut())
    if choice.name == "jax":
        os.environ.update(compiled.variables())
        # A cache that cannot be read or written costs time alone.
        warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    if choice.name == "tensorflow" and "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        import_tensorflow_quietly()
    return choice


class _OthersLeftOut(Loader):
    """Makes importing a framework that was not chosen fail as if it were not installed.

    Keras imports whatever it finds: jax for a callback, TensorFlow to save a file. Without them a run starts seconds
    sooner and holds no memory of a second framework on the GPU.
    """

    admitted: ClassVar[set[str]] = set()

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name in BACKENDS and name != os.environ["KERAS_BACKEND"] and name not in self.admitted:
            return ModuleSpec(name, self)
        return None

    def exec_module(self, module: ModuleType) -> None:
        pass  # never reached: create_module raises

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        raise ModuleNotFoundError(
            f"{spec.name} is left out: this process runs Keras on {os.environ['KERAS_BACKEND']}", name=spec.name
        )


def admit_tensorflow() -> None:
    """Let TensorFlow be imported beside another backend, for a library that computes with it, off the GPU."""
    if "tensorflow" in installed() and os.environ.get("KERAS_BACKEND") != "tensorflow":
        _OthersLeftOut.admitted.add("tensorflow")
        import_tensorflow_quietly(without_gpu=True)


def import_tensorflow_quietly(*, without_gpu: bool = False) -> None:
    """Import TensorFlow, let it look for devices and make its first dataset, all without a word on stderr.

    Whether it leaves GPUs alone can no longer be told once it has computed.

    Its dozen lines about CPUs and CUDA come from C++, before any setting of Python's is heard. What it says of no
    consequence later, as when it first compiles something, it leaves out for the level that it reads meanwhile.
    Whoever wants all of it sets TF_CPP_MIN_LOG_LEVEL.
    """
    with stderr_silenced():
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.list_physical_devices()
        if without_gpu:
            tensorflow.config.set_visible_devices([], "GPU")
        next(iter(tensorflow.data.Dataset.from_generator(lambda: [0], output_types="int32")))


@contextlib.contextmanager
def stderr_silenced() -> Iterator[None]:
    """Drop what is written to stderr while the block runs, by C++ too."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere, _set("TF_CPP_MIN_LOG_LEVEL", "1"):
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def _set(variable: str, value: str) -> Iterator[None]:
    """While the block lasts, give an environment variable a value, unless it has one."""
    if variable in os.environ:
        yield
        return
    os.environ[variable] = value
    try:
        yield
    finally:
        del os.environ[variable]


def _select_device(device: str | None) -> None:
    if device is None:
        return
    match = re.fullmatch(r"cpu|gpu(?::(\d+))?", device)
    if not match:
        raise BackendError(f"Expected a device 'cpu', 'gpu' or 'gpu:N'. Received: {device!r}")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.environ["KERAS_TORCH_DEVICE"] = "cpu"
        return
    for name in ("JAX_PLATFORMS", "KERAS_TORCH_DEVICE"):
        if os.environ.get(name) == "cpu":
            del os.environ[name]
    if match[1]:
        # Numbers count those that are visible, as the frameworks do: a scheduler may have lent but some.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is None:
            os.environ["CUDA_VISIBLE_DEVICES"] = match[1]
            return
        lent = visible.split(",") if visible else []
        if int(match[1]) >= len(lent):
            count = f"counts from gpu:0 to gpu:{len(lent) - 1}" if lent else "hides every GPU"
            raise BackendError(f"--device {device}: CUDA_VISIBLE_DEVICES={visible} {count}.")
        os.environ["CUDA_VISIBLE_DEVICES"] = lent[int(match[1])]


def make_deterministic(name: str) -> None:
    """Let the framework `name` use only operations that give the same bits each time, importing it.

    On a CPU they do so anyway (docs/design.md, 27). JAX must be told before it first computes.
    """
    if name == "jax":
        flag = "--xla_gpu_deterministic_ops=true"
        if flag not in os.environ.get("XLA_FLAGS", ""):
            os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
        return
    if name == "torch":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    framework = importlib.import_module(name)
    if name == "torch":
        framework.use_deterministic_algorithms(True)
        framework.backends.cudnn.benchmark = False
        framework.utils.deterministic.fill_uninitialized_memory = False
    else:
        framework.config.experimental.enable_op_determinism()


def devices(name: str) -> list[str]:
    """Return the devices that the framework `name` sees, importing it."""
    framework = importlib.import_module(name)
    if name == "jax":
        return [f"{device.platform}:{device.id} {device.device_kind}" for device in framework.devices()]
    if name == "torch":
        count = framework.cuda.device_count()
        return [f"gpu:{i} {framework.cuda.get_device_name(i)}" for i in range(count)] or ["cpu"]
    gpus = framework.config.list_physical_devices("GPU")
    return [f"gpu:{i} {gpu.name}" for i, gpu in enumerate(gpus)] or ["cpu"]


def threads(name: str) -> int:
    """Return how many threads the framework `name` computes with on the CPU, importing it."""
    framework = importlib.import_module(name)
    if name == "torch":
        return framework.get_num_threads()
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if name == "tensorflow":
        return framework.config.threading.get_intra_op_parallelism_threads() or available
    return available


def check_device(name: str, device: str | None) -> None:
    """Raise `BackendError` where a GPU was asked for and the framework `name` sees none."""
    if device and device.startswith("gpu") and all("cpu" in seen for seen in devices(name)):
        raise BackendError(
            f"No GPU is visible to {name}, but --device {device} asks for one. "
            "`kcnn check` shows what each framework sees; README says how to install it with CUDA."
        )


def versions() -> dict[str, str]:
    """Return the installed versions of what decides a result: frameworks, Keras and its companions."""
    found = {}
    for package in ("keras", *BACKENDS, "numpy", "pillow", "scikit-learn"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def unsafe_keras() -> str | None:
    """Return why the installed Keras should not open files of strangers, or None where it may."""
    version = versions().get("keras", "0")
    if tuple(int(part) for part in re.findall(r"\d+", version)[:3]) < OLDEST_SAFE_KERAS:
        oldest = ".".join(map(str, OLDEST_SAFE_KERAS))
        return f"keras {version} loads unsafe .keras files; install at least {oldest}"
    return None
