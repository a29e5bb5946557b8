"""Finished runs that nobody trained: an architecture whose weights are drawn, on coloured pictures in JPEG files."""

import keras
import numpy as np
from families import unsettled
from PIL import Image

from kcnn import data
from kcnn import recipe as recipes
from kcnn.assemble import build_network, deployable
from kcnn.files import write_text
from kcnn.initial import initialize
from kcnn.run import Run
from kcnn.workflows.fit import resolve

CLASSES = ("blue", "green", "grey", "red")


def pictures(folder, count=120):
    """Write JPEG files of various sizes below `folder`, a folder a class, and return it."""
    rng = np.random.default_rng(0)
    for index in range(count):
        height, width = rng.integers(34, 90, 2)
        rough = Image.fromarray(rng.integers(0, 256, (5, 5, 3), "uint8"))
        path = folder / CLASSES[index % len(CLASSES)] / f"{index:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        rough.resize((int(width), int(height)), Image.Resampling.BICUBIC).save(path, quality=92)
    return folder


def made_run(folder, model, path, *settings, temperature=None):
    """Return a run of `model` below `folder`, with the pictures at `path` as its data."""
    settings = [f"data.path={path}", "data.image_size=[32, 32]", "augment=[]", *settings]
    recipe = recipes.load("folder", [*settings, f"model.name={model}"])
    dataset = data.load(recipe.data, recipe.seed)
    network = build_network(recipe, dataset)
    initialize(network, recipe.seed)
    rng = np.random.default_rng(1)
    network.set_weights([unsettled(weight, rng) for weight in network.weights])
    run = Run.create(folder, model)
    write_text(run.recipe, recipes.to_toml(resolve(recipe, dataset)))
    run.write_json(run.labels, dataset.class_names)
    run.write_json(run.environment, {"backend": keras.config.backend()})
    if temperature:
        run.write_json(run.calibration, {"temperature": temperature})
    deployable(recipe, dataset, network).save(run.model)
    return run
