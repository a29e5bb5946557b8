"""The same networks written in plain PyTorch, with the same weights, give the same logits."""

import keras
import numpy as np
import pytest

from kcnn.registry import MODELS

if keras.backend.backend() != "torch":
    pytest.skip("compares with PyTorch on the PyTorch backend alone", allow_module_level=True)

torch = pytest.importorskip("torch")
from article import SimpleCNN  # noqa: E402 - needs torch

nn, functional = torch.nn, torch.nn.functional

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def conv(inputs, outputs, strides=1, size=3):
    return nn.Conv2d(inputs, outputs, size, stride=strides, padding=size // 2, bias=False)


# --- Blocks in their authors' order ---


class CifarBlock(nn.Module):
    """He et al. (2015), section 4.2, with option A."""

    def __init__(self, inputs, outputs, strides):
        super().__init__()
        self.strides, self.extra = strides, outputs - inputs
        self.conv1, self.norm1 = conv(inputs, outputs, strides), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = conv(outputs, outputs), nn.BatchNorm2d(outputs)

    def forward(self, x):
        out = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x)))))
        shortcut = functional.pad(x[:, :, :: self.strides, :: self.strides], (0, 0, 0, 0, 0, self.extra))
        return functional.relu(out + shortcut)


class BasicBlock(nn.Module):
    """He et al. (2015), table 1, with option B."""

    def __init__(self, inputs, outputs, strides):
        super().__init__()
        self.project = strides > 1
        if self.project:
            self.shortcut_conv = conv(inputs, outputs, strides, size=1)
            self.shortcut_norm = nn.BatchNorm2d(outputs)
        self.conv1, self.norm1 = conv(inputs, outputs, strides), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = conv(outputs, outputs), nn.BatchNorm2d(outputs)

    def forward(self, x):
        out = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x)))))
        shortcut = self.shortcut_norm(self.shortcut_conv(x)) if self.project else x
        return functional.relu(out + shortcut)


class WideBlock(nn.Module):
    """Zagoruyko & Komodakis (2016), as in the authors' code."""

    def __init__(self, inputs, outputs, strides):
        super().__init__()
        self.project = inputs != outputs
        if self.project:
            self.shortcut_conv = conv(inputs, outputs, strides, size=1)
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, outputs, strides)
        self.norm2, self.conv2 = nn.BatchNorm2d(outputs), conv(outputs, outputs)

    def forward(self, x):
        active = functional.relu(self.norm1(x))
        out = self.conv2(functional.relu(self.norm2(self.conv1(active))))
        return out + (self.shortcut_conv(active) if self.project else x)


class Residual(nn.Module):
    """Stem, stages and logits around one kind of block; its modules bear the names of the Keras layers."""

    def __init__(self, block, stem, widths, blocks, *, large=False):
        super().__init__()
        self.large, self.wide = large, block is WideBlock
        self.stem_conv = conv(3, stem, 2, size=7) if large else conv(3, stem)
        if not self.wide:
            self.stem_norm = nn.BatchNorm2d(stem)
        self.stages, inputs = nn.ModuleDict(), stem
        for stage, width in enumerate(widths, start=1):
            for index in range(1, blocks + 1):
                strides = 2 if stage > 1 and index == 1 else 1
                self.stages[f"stage{stage}_block{index}"] = block(inputs, width, strides)
                inputs = width
        if self.wide:
            self.head_norm = nn.BatchNorm2d(inputs)
        self.logits = nn.Linear(inputs, 10)

    def forward(self, x):
        x = self.stem_conv(x)
        x = x if self.wide else functional.relu(self.stem_norm(x))
        x = functional.max_pool2d(x, 3, stride=2, padding=1) if self.large else x
        for stage in self.stages.values():
            x = stage(x)
        x = functional.relu(self.head_norm(x)) if self.wide else x
        return self.logits(x.mean((2, 3)))


class Airbench(nn.Module):
    """Jordan (2024), appendix A, or airbench96.py: with his pool over the last map, his scale behind the logits."""

    def __init__(self, widths, depth):
        super().__init__()
        self.depth = depth
        self.stem_conv = nn.Conv2d(3, 24, 2)
        channels = 24
        for block, width in enumerate(widths, start=1):
            for index in range(1, depth + 1):
                self.add_module(f"block{block}_conv{index}", nn.Conv2d(channels, width, 3, padding=1, bias=False))
                self.add_module(f"block{block}_norm{index}", Shift(width))
                channels = width
        self.logits = nn.Linear(channels, 10, bias=False)
        nn.init.normal_(self.logits.weight)

    def forward(self, x):
        part = self.get_submodule
        x = functional.gelu(self.stem_conv(x))
        for block in (1, 2, 3):
            x = functional.max_pool2d(part(f"block{block}_conv1")(x), 2)
            x = first = functional.gelu(part(f"block{block}_norm1")(x))
            x = part(f"block{block}_norm2")(part(f"block{block}_conv2")(x))
            if self.depth == 3:
                x = first + part(f"block{block}_norm3")(part(f"block{block}_conv3")(functional.gelu(x)))
            x = functional.gelu(x)
        return self.logits(functional.max_pool2d(x, 3).flatten(1)) / 9


class Shift(nn.BatchNorm2d):
    """A batch norm without a scale."""

    def __init__(self, channels):
        super().__init__(channels)
        self.register_parameter("weight", None)

    def reset_parameters(self):
        self.reset_running_stats()
        nn.init.zeros_(self.bias)


# --- Copying and comparing ---


def simple_cnn_parts(twin):
    blocks = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)]
    names = [f"block{block}_{kind}{index}" for block, index in blocks for kind in ("conv", "norm")]
    modules = [module for module in twin.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]
    return dict(zip([*names, "head_dense", "logits"], modules, strict=True))


def residual_parts(twin):
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
    named = {name: module for name, module in twin.named_modules() if isinstance(module, kinds)}
    return {name.removeprefix("stages.").replace(".", "_"): module for name, module in named.items()}


def copy_weights(parts, model):
    """Give the Keras layers the weights of the PyTorch modules that bear their names, all of them."""
    assert {layer.name for layer in model.layers if layer.weights} == set(parts)
    for name, module in parts.items():
        weights = [weight for weight in (module.weight, module.bias) if weight is not None]
        weights = [weight.detach().numpy() for weight in weights]
        if isinstance(module, nn.BatchNorm2d):
            weights += [module.running_mean.numpy(), module.running_var.numpy()]
        elif isinstance(module, nn.Conv2d):
            weights[0] = weights[0].transpose(2, 3, 1, 0)
        elif name == "head_dense":
            # PyTorch flattened channel, height, width; Keras height, width, channel.
            weights[0] = weights[0].reshape(-1, 128, 4, 4).transpose(2, 3, 1, 0).reshape(128 * 4 * 4, -1)
        else:
            weights[0] = weights[0].T
        model.get_layer(name).set_weights(weights)


def randomise_norms(twin):
    for module in twin.modules():
        if isinstance(module, nn.BatchNorm2d):
            if module.weight is not None:
                nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)


@pytest.mark.parametrize(
    ("name", "size", "make", "parts"),
    [
        ("simple_cnn", 32, SimpleCNN, simple_cnn_parts),
        ("resnet20", 32, lambda: Residual(CifarBlock, 16, (16, 32, 64), 3), residual_parts),
        ("resnet20", 31, lambda: Residual(CifarBlock, 16, (16, 32, 64), 3), residual_parts),
        ("resnet18", 32, lambda: Residual(BasicBlock, 64, (64, 128, 256, 512), 2), residual_parts),
        (
            "resnet18",
            129,
            lambda: Residual(BasicBlock, 64, (64, 128, 256, 512), 2, large=True),
            residual_parts,
        ),
        ("airbench94", 32, lambda: Airbench((64, 256, 256), depth=2), residual_parts),
        ("airbench96", 32, lambda: Airbench((128, 512, 512), depth=3), residual_parts),
        ("wide_resnet16_8", 16, lambda: Residual(WideBlock, 16, (128, 256, 512), 2), residual_parts),
    ],
)
def test_logits_are_equal(name, size, make, parts, images):
    torch.manual_seed(0)
    twin = make().eval()
    randomise_norms(twin)
    model = MODELS.get(name)((size, size, 3), 10, mean=MEAN, std=STD)
    copy_weights(parts(twin), model)
    x = images(2, size, size, 3)
    with torch.no_grad():
        expected = twin(torch.from_numpy(((x / 255 - MEAN) / STD).astype("float32").transpose(0, 3, 1, 2))).numpy()
        received = model(x).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)
    frozen = 24 * 3 * 2 * 2 if name.startswith("airbench") else 0
    trained = sum(w.value.numel() for w in model.trainable_weights)
    assert sum(p.numel() for p in twin.parameters()) == trained + frozen
