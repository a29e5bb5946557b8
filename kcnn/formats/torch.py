"""PyTorch: a program of `torch.export`, which holds graph and weights and needs no Python of the network."""

import contextlib
import functools
import logging
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
        with _log_silenced("torch.export"):  # of a damaged file it logs a traceback, and raises an error as well
            self._program = torch.export.load(path, extra_files=extra).module()
        self.metadata = Metadata.from_json(extra[KEY], path)

    def answer(self, pixels):
        with self._torch.inference_mode():
            return tuple(each.numpy() for each in self._program(self._torch.from_numpy(pixels)))

    @staticmethod
    def write(network, path, metadata, *, quantize=None, calibration=None):
        import torch

        made = program(network, metadata)
        with warnings.catch_warnings():
            # Of kernels whose channels come last in memory; on the processor nothing comes of it.
            warnings.filterwarnings("ignore", message="No complete tensor found in the group")
            torch.export.save(made, path, extra_files={KEY: metadata.as_json()})


@contextlib.contextmanager
def _log_silenced(name):
    log = logging.getLogger(name)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


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
        traced = _exported(Graph().eval(), pixels)
        return _exported(_constants_computed(traced.module(check_guards=False)), pixels)


def _exported(module, pixels):
    import torch

    batch = torch.export.Dim("batch")
    return torch.export.export(module, (pixels,), dynamic_shapes={INPUT: {0: batch}}, strict=False)


def _constants_computed(module):
    """Return a module that does what a traced one does, in which what depends on weights alone is a weight.

    Keras turns its kernels around at each call. What does nothing is left out: casts to the type that is there already,
    and the copy of each weight that Keras has.
    """
    import torch

    graph, values = module.graph, {}
    for node in list(graph.nodes):
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            graph.erase_node(node)
        elif node.target is torch.ops.aten.to.dtype_layout and _dtype(node) == _dtype(node.args[0]):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    for node in graph.nodes:
        if node.op == "get_attr":
            values[node] = functools.reduce(getattr, node.target.split("."), module)
        elif node.op == "call_function" and node.all_input_nodes and values.keys() >= set(node.all_input_nodes):
            arguments = torch.fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = node.target(*arguments[0], **arguments[1])
    for node, value in values.items():
        if isinstance(value, torch.Tensor) and any(user not in values for user in node.users):
            name = f"constant_{node.name}"
            module.register_parameter(name, torch.nn.Parameter(value.detach().clone(), requires_grad=False))
            with graph.inserting_before(node):
                node.replace_all_uses_with(graph.get_attr(name), delete_user_cb=lambda user: user not in values)
    for node in reversed(list(values)):
        if not node.users:
            graph.erase_node(node)
    return torch.fx.GraphModule(module, graph)  # with what the graph names, and nothing else


def _dtype(node):
    return node.meta["val"].dtype
