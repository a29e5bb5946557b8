"""The repository's own rules: which part may import which, and what stays free of Keras."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from kcnn.registry import AUGMENTATIONS, DATASETS, FORMATS, METHODS, MODELS, OPTIMIZERS, SCHEDULES, VIEWS

PACKAGE = Path(__file__).parent.parent / "kcnn"

# Bottom to top; a part imports only from lower levels, or from itself. See docs/design.md.
LEVELS = {
    "errors": 0,
    "amount": 0,
    "digest": 0,
    "allocator": 0,
    "registry": 1,
    "cache": 1,
    "files": 1,
    "compiled": 2,
    "facts": 2,
    "schema": 3,
    "backend": 3,
    "recipe": 4,
    "run": 4,
    "checkpoint": 5,
    "environment": 4,
    "reference": 5,
    "random": 5,
    "kernels": 5,
    "metrics": 5,
    "corruptions": 6,
    "tta": 6,
    "initial": 6,
    "anatomy": 6,
    "layers": 6,
    "augment": 6,
    "data": 6,
    "optim": 6,
    "callbacks": 6,
    "gradients": 6,
    "explain": 7,
    "formats": 7,
    "pretrained": 7,
    "finetune": 8,
    "models": 7,
    "assemble": 9,
    "classifier": 9,
    "opened": 10,
    "serving": 11,
    "workflows": 12,
    "cli": 13,
    "__main__": 14,
}
KERAS_FREE = (
    "amount",
    "errors",
    "files",
    "reference",
    "digest",
    "allocator",
    "registry",
    "facts",
    "backend",
    "recipe",
    "schema",
    "run",
    "environment",
    "checkpoint",
    "cache",
    "compiled",
    "metrics",
    "corruptions",
    "tta",
    "data",
    "formats",
    "opened",
    "cli",
)
FRAMEWORKS = {"tensorflow", "torch", "jax"}


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path):
    """Yield (module, whether it stands at the top of the file)."""
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            yield node.module, id(node) not in inside
            if node.module == "kcnn":
                for alias in node.names:
                    yield f"kcnn.{alias.name}", id(node) not in inside


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    own = part_of(path)
    assert own in LEVELS, f"{path} belongs to no level: add it to LEVELS and docs/design.md"
    for module, _ in imports_of(path):
        names = module.split(".")
        if names[0] != "kcnn" or len(names) < 2 or names[1] in (own, "__version__"):
            continue
        assert LEVELS[names[1]] < LEVELS[own], f"{path} imports {module}, which does not stand below it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_frameworks_and_keras_stay_where_they_belong(path):
    for module, at_top in imports_of(path):
        root = module.split(".")[0]
        # keras-cv needs TensorFlow beside it, whatever Keras runs on, so its adapter has to look for that.
        if path.name != "keras_cv.py" and part_of(path) not in ("kernels", "gradients", "formats"):
            assert root not in FRAMEWORKS, f"{path} names the framework {root}"
        if part_of(path) in KERAS_FREE and at_top:
            assert root != "keras", f"{path} imports Keras at its top"


def test_no_module_is_called_utils():
    assert not [path for path in PACKAGE.rglob("*.py") if "util" in path.name]


def test_only_the_command_line_prints():
    for path in SOURCES:
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        printing = [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
        assert not printing, f"{path} prints"


@pytest.mark.parametrize(
    "registry", [AUGMENTATIONS, DATASETS, FORMATS, METHODS, MODELS, OPTIMIZERS, SCHEDULES, VIEWS], ids=lambda r: r.kind
)
def test_tables_resolve_and_describe(registry):
    for name in registry.names():
        assert callable(registry.get(name))
        assert registry.summary(name).endswith("."), f"{registry.kind} {name} has no sentence about it"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["models"],
        ["models", "resnet20"],
        ["describe", "--help"],
        ["recipes"],
        ["datasets"],
        ["fit", "--help"],
        ["predict", "--help"],
        ["evaluate", "--help"],
        ["serve", "--help"],
        ["export", "--help"],
    ],
    ids=str,
)
def test_listing_and_help_import_no_keras(arguments):
    code = (
        "import sys\nfrom kcnn.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as error:\n    assert not error.code, error.code\n"
        "heavy = {'keras', 'numpy', 'torch', 'jax', 'tensorflow', 'fastapi', 'uvicorn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
