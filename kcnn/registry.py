"""Tables from names to `"module:function"` strings, read without importing what they point to."""

import ast
import difflib
import functools
import importlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kcnn.errors import UsageError

# What an option's annotation may be built from: the types that TOML can express.
ANNOTATION_NAMES = {"bool": bool, "int": int, "float": float, "str": str, "list": list, "tuple": tuple}
REQUIRED = object()
PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Option:
    """One keyword-only argument of a registered callable: its type, its default and its meaning."""

    name: str
    annotation: Any
    default: Any = REQUIRED
    description: str = ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` where a known name is close, else an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {matches[0]!r}?" if matches else ""


class Registry:
    """A table of one kind of thing, for instance models.

    Args:
        kind: What an entry is called in messages, for instance `"model"`.
        table: Name to `"module:callable"`. The module is imported by `get` alone.
    """

    def __init__(self, kind: str, table: dict[str, str]):
        self.kind = kind
        self.table = table

    def names(self) -> list[str]:
        """Return the registered names in the order of the table."""
        return list(self.table)

    def target(self, name: str) -> tuple[str, str]:
        """Return the module and the attribute behind `name`; raise `UsageError` if unknown."""
        if name not in self.table:
            hint = did_you_mean(name, self.table) or f" Known: {', '.join(self.table)}."
            raise UsageError(f"Unknown {self.kind} {name!r}.{hint}")
        module, _, attribute = self.table[name].partition(":")
        return module, attribute

    def get(self, name: str) -> Callable[..., Any]:
        """Import and return the callable registered under `name`."""
        module, attribute = self.target(name)
        return getattr(importlib.import_module(module), attribute)

    def options(self, name: str) -> dict[str, Option]:
        """Return the keyword-only arguments of `name`, read from its source without importing it."""
        return _options(*self.target(name))

    def summary(self, name: str) -> str:
        """Return the first line of the docstring of `name`, read without importing it."""
        module, attribute = self.target(name)
        doc = ast.get_docstring(_definition(module, attribute)) or ""
        return doc.partition("\n")[0]


@functools.cache
def _module_tree(module: str) -> ast.Module:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    source = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
    return ast.parse(source.read_text(encoding="utf-8"))


def _definition(module: str, attribute: str) -> ast.FunctionDef | ast.ClassDef:
    for node in _module_tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == attribute:
            return node
    raise AttributeError(f"{module} defines no function or class {attribute!r}")


@functools.cache
def _options(module: str, attribute: str) -> dict[str, Option]:
    node = _definition(module, attribute)
    if isinstance(node, ast.ClassDef):
        inits = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        if not inits:
            return {}
        node = inits[0]
    options = {}
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        if argument.annotation is None:
            continue  # plumbing (seed, name, dtype), not an option of the recipe
        value = REQUIRED if default is None else ast.literal_eval(default)
        description = _explained(module, attribute).get(argument.arg, "")
        options[argument.arg] = Option(argument.arg, _annotation(argument.annotation), value, description)
    return options


@functools.cache
def _explained(module: str, attribute: str) -> dict[str, str]:
    """Return the meaning of each argument: from its own docstring, or else the first of its module that says it."""
    nodes = [node for node in _module_tree(module).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    found: dict[str, str] = {}
    for node in (_definition(module, attribute), *nodes):
        found = _arguments(ast.get_docstring(node) or "") | found
    return found


def _arguments(doc: str) -> dict[str, str]:
    """Return what a docstring's `Args:` say of each."""
    section = re.search(r"^Args:\n((?:    .*\n?|\n)+)", doc, re.MULTILINE)
    items = re.split(r"\n(?=    \S)", section[1]) if section else []
    found = {}
    for item in items:
        names, _, text = item.strip().partition(":")
        found.update(dict.fromkeys(names.split(", "), " ".join(text.split())))
    return found


def _annotation(node: ast.expr) -> Any:
    names = ANNOTATION_NAMES | {"Literal": Literal}
    return eval(  # the project's own source, restricted to the names above
        compile(ast.Expression(node), "<annotation>", "eval"), {"__builtins__": {}}, names
    )


DATASETS = Registry(
    "dataset",
    {
        "digits": "kcnn.data.embedded:digits",
        "cifar10": "kcnn.data.downloads:cifar10",
        "cifar100": "kcnn.data.downloads:cifar100",
        "mnist": "kcnn.data.downloads:mnist",
        "fashion_mnist": "kcnn.data.downloads:fashion_mnist",
        "folder": "kcnn.data.folder:folder",
    },
)

OPTIMIZERS = Registry(
    "optimizer",
    {
        "adam": "kcnn.optim.optimizers:adam",
        "adamw": "kcnn.optim.optimizers:adamw",
        "sgd": "kcnn.optim.optimizers:sgd",
        "lion": "kcnn.optim.optimizers:lion",
        "muon": "kcnn.optim.optimizers:muon",
    },
)

SCHEDULES = Registry(
    "schedule",
    {
        "constant": "kcnn.optim.schedules:constant",
        "cosine": "kcnn.optim.schedules:cosine",
        "step": "kcnn.optim.schedules:step",
        "triangular": "kcnn.optim.schedules:triangular",
    },
)

AUGMENTATIONS = Registry(
    "augmentation",
    {
        "horizontal_flip": "kcnn.augment.flip:HorizontalFlip",
        "vertical_flip": "kcnn.augment.flip:VerticalFlip",
        "crop": "kcnn.augment.crop:Crop",
        "translate": "kcnn.augment.translate:Translate",
        "affine": "kcnn.augment.affine:Affine",
        "brightness": "kcnn.augment.brightness:Brightness",
        "contrast": "kcnn.augment.contrast:Contrast",
        "saturation": "kcnn.augment.saturation:Saturation",
        "hue": "kcnn.augment.hue:Hue",
        "cutout": "kcnn.augment.cutout:Cutout",
        "random_erasing": "kcnn.augment.random_erasing:RandomErasing",
        "trivial_augment": "kcnn.augment.trivial_augment:TrivialAugment",
        "rand_augment": "kcnn.augment.rand_augment:RandAugment",
        "mixup": "kcnn.augment.mixup:MixUp",
        "cutmix": "kcnn.augment.cutmix:CutMix",
        "keras_cv_rand_augment": "kcnn.augment.keras_cv:KerasCvRandAugment",
        "keras_cv_aug_mix": "kcnn.augment.keras_cv:KerasCvAugMix",
        "keras_cv_grid_mask": "kcnn.augment.keras_cv:KerasCvGridMask",
    },
)

MODELS = Registry(
    "model",
    {
        "simple_cnn": "kcnn.models.simple_cnn:simple_cnn",
        "residual_cnn": "kcnn.models.residual_cnn:residual_cnn",
        "alexnet": "kcnn.models.alexnet:alexnet",
        "vgg11": "kcnn.models.vgg:vgg11",
        "vgg13": "kcnn.models.vgg:vgg13",
        "vgg16": "kcnn.models.vgg:vgg16",
        "vgg19": "kcnn.models.vgg:vgg19",
        "googlenet": "kcnn.models.googlenet:googlenet",
        "resnet20": "kcnn.models.residual_cnn:resnet20",
        "resnet32": "kcnn.models.residual_cnn:resnet32",
        "resnet44": "kcnn.models.residual_cnn:resnet44",
        "resnet56": "kcnn.models.residual_cnn:resnet56",
        "resnet110": "kcnn.models.residual_cnn:resnet110",
        "plain20": "kcnn.models.residual_cnn:plain20",
        "plain56": "kcnn.models.residual_cnn:plain56",
        "plain110": "kcnn.models.residual_cnn:plain110",
        "resnet18": "kcnn.models.resnet:resnet18",
        "resnet34": "kcnn.models.resnet:resnet34",
        "resnet50": "kcnn.models.resnet:resnet50",
        "resnet101": "kcnn.models.resnet:resnet101",
        "resnet152": "kcnn.models.resnet:resnet152",
        "resnet50_v2": "kcnn.models.resnet:resnet50_v2",
        "resnet101_v2": "kcnn.models.resnet:resnet101_v2",
        "resnet152_v2": "kcnn.models.resnet:resnet152_v2",
        "wide_resnet16_8": "kcnn.models.wide_resnet:wide_resnet16_8",
        "wide_resnet28_10": "kcnn.models.wide_resnet:wide_resnet28_10",
        "airbench94": "kcnn.models.airbench:airbench94",
        "airbench96": "kcnn.models.airbench:airbench96",
        "efficientnet_b0": "kcnn.models.efficientnet:efficientnet_b0",
        "efficientnet_b1": "kcnn.models.efficientnet:efficientnet_b1",
        "efficientnet_b2": "kcnn.models.efficientnet:efficientnet_b2",
        "efficientnet_b3": "kcnn.models.efficientnet:efficientnet_b3",
        "efficientnet_b4": "kcnn.models.efficientnet:efficientnet_b4",
        "efficientnet_b5": "kcnn.models.efficientnet:efficientnet_b5",
        "efficientnet_b6": "kcnn.models.efficientnet:efficientnet_b6",
        "efficientnet_b7": "kcnn.models.efficientnet:efficientnet_b7",
        "efficientnet_v2_b0": "kcnn.models.efficientnet:efficientnet_v2_b0",
        "efficientnet_v2_b1": "kcnn.models.efficientnet:efficientnet_v2_b1",
        "efficientnet_v2_b2": "kcnn.models.efficientnet:efficientnet_v2_b2",
        "efficientnet_v2_b3": "kcnn.models.efficientnet:efficientnet_v2_b3",
        "efficientnet_v2_s": "kcnn.models.efficientnet:efficientnet_v2_s",
        "efficientnet_v2_m": "kcnn.models.efficientnet:efficientnet_v2_m",
        "efficientnet_v2_l": "kcnn.models.efficientnet:efficientnet_v2_l",
        "convnext_tiny": "kcnn.models.convnext:convnext_tiny",
        "convnext_small": "kcnn.models.convnext:convnext_small",
        "convnext_base": "kcnn.models.convnext:convnext_base",
        "convnext_large": "kcnn.models.convnext:convnext_large",
        "convnext_xlarge": "kcnn.models.convnext:convnext_xlarge",
    },
)

FORMATS = Registry(
    "format",
    {
        "onnx": "kcnn.formats.onnx:Onnx",
        "savedmodel": "kcnn.formats.savedmodel:SavedModel",
        "litert": "kcnn.formats.litert:LiteRT",
        "openvino": "kcnn.formats.openvino:OpenVino",
        "torch": "kcnn.formats.torch:Torch",
    },
)

METHODS = Registry(
    "method",
    {
        "grad_cam": "kcnn.explain.cam:grad_cam",
        "grad_cam_plus_plus": "kcnn.explain.cam:grad_cam_plus_plus",
        "hires_cam": "kcnn.explain.cam:hires_cam",
        "layer_cam": "kcnn.explain.cam:layer_cam",
        "eigen_cam": "kcnn.explain.cam:eigen_cam",
        "score_cam": "kcnn.explain.masks:score_cam",
        "smooth_grad": "kcnn.explain.slopes:smooth_grad",
        "integrated_gradients": "kcnn.explain.slopes:integrated_gradients",
        "occlusion": "kcnn.explain.masks:occlusion",
    },
)

VIEWS = Registry("test-time augmentation", {"flip": "kcnn.tta:flip", "flip_shift": "kcnn.tta:flip_shift"})
