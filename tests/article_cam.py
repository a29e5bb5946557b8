"""Grad-CAM as in the teaching article, plain PyTorch, no Keras, no kcnn; and pytorch-grad-cam.

Run as a script: python article_cam.py INPUT.npz OUTPUT.npz
"""

import sys
import types

import numpy as np
import torch.nn.functional as F
from article import SimpleCNN, load_from_keras, normalise

THEIRS = {
    "grad_cam": "GradCAM",
    "grad_cam_plus_plus": "GradCAMPlusPlus",
    "hires_cam": "HiResCAM",
    "layer_cam": "LayerCAM",
}


def grad_cam(model, image, target_class, target_layer):
    """As it stands in the article, but for the hooks' names."""
    activations, gradients = {}, {}

    def forward_hook(module, inputs, output):
        activations["value"] = output

    def backward_hook(module, grad_inputs, grad_outputs):
        gradients["value"] = grad_outputs[0]

    h1 = target_layer.register_forward_hook(forward_hook)
    h2 = target_layer.register_full_backward_hook(backward_hook)

    out = model(image.unsqueeze(0))
    model.zero_grad()
    out[0, target_class].backward()

    weights = gradients["value"].mean(dim=[2, 3], keepdim=True)
    cam = (weights * activations["value"]).sum(dim=1, keepdim=True)
    cam = F.relu(cam)
    cam = F.interpolate(cam, size=image.shape[1:], mode="bilinear")

    h1.remove()
    h2.remove()
    return cam.squeeze().detach().numpy()


def theirs(model, images, classes, layer):
    """Return the maps of pytorch-grad-cam by method."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):  # not there, or built for another build of PyTorch
        # pytorch-grad-cam imports it for helpers that are not used here.
        for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__getattr__ = lambda attribute: None
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    targets = [ClassifierOutputTarget(int(chosen)) for chosen in classes]
    return {name: getattr(pytorch_grad_cam, other)(model, [layer])(images, targets) for name, other in THEIRS.items()}


def main(source, target):
    given = np.load(source)
    model = SimpleCNN()
    load_from_keras(model, [given[f"weight{index}"] for index in range(int(given["weights"]))])
    model.eval()
    # The article's network rectifies in place, which hooks on what comes before would not survive.
    layer = model.features[-1]
    images = normalise(given["images"])
    article = [grad_cam(model, image, chosen, layer) for image, chosen in zip(images, given["classes"], strict=True)]
    np.savez(target, article=np.stack(article), **theirs(model, images, given["classes"], layer))


if __name__ == "__main__":
    main(*sys.argv[1:])
