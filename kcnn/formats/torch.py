"""PyTorch: a program of `torch.export`, which holds graph and weights and needs no Python of the network."""

import warnings

from kcnn.formats.metadata import INPUT, KEY, OUTPUTS, Metadata


class Torch:
    """A .pt2 file, answered by PyTorch."""

    FILE = "model.pt2"
    SUFFIX = ".pt2"
    WRITTEN_ON = "torch"
    RUNTIME = ("torch",)
    WRITING = ()
    QUANTIZATIONS = {}

    def __init__(self, path):
        import torch

        extra = {KEY: ""}
        self._torch = torch
        self._program = torch.export.load(path, extra_files=extra).module()
        self.metadata = Metadata.from_json(extra[KEY], path)

    def answer(self, pixels):
        with self._torch.inference_mode():
            return tuple(each.numpy() for each in self._program(self._torch.from_numpy(pixels)))

    @staticmethod
    def write(network, path, metadata, *, quantize=None, calibration=None):
        import torch

        torch.export.save(program(network, metadata), path, extra_files={KEY: metadata.as_json()})


def program(network, metadata):
    """Return the `torch.export.ExportedProgram` from uint8 pixels to logits and probabilities, for any batch."""
    import torch

    from kcnn.formats._graph import answering

    answer = answering(network, metadata.temperature)

    class Graph(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network  # whose weights become those of this module

        def forward(self, pixels):
            found = answer(pixels)
            return tuple(found[name] for name in OUTPUTS)

    # Of one image the batch would be taken for a constant.
    pixels = torch.zeros((2, *metadata.image_shape), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message=".*not properly registered as a submodule.*")
        return torch.export.export(
            Graph().eval(), (pixels,), dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}}, strict=False
        )
