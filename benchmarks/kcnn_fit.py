"""kcnn: the shipped recipe, through the assembly and callbacks of `kcnn fit`, less checkpoints, history, progress."""

from types import SimpleNamespace

from kcnn import backend
from kcnn import recipe as recipes

backend.select()  # as the command line does before Keras is imported: the other frameworks stay out

from _clock import Clock  # noqa: E402

from kcnn.anatomy.macs import count_macs  # noqa: E402
from kcnn.assemble import assemble, callbacks  # noqa: E402
from kcnn.data.dataset import Dataset, Split  # noqa: E402


def trainer(network, precision, images, labels, batch_size, overrides=()):
    """Return a function that trains on the next `steps` batches and returns their mean loss, and the seconds."""
    settings = [f"precision={precision}", f"batch_size={batch_size}", "epochs=1000", *overrides]
    recipe = recipes.load(f"cifar10_{network}", settings)
    split = Split(images, labels.astype("int32"), [f"{index}" for index in range(len(images))])
    names = [f"class{index}" for index in range(10)]
    dataset = Dataset(
        train=split,
        validation=None,
        test=None,
        class_names=names,
        image_shape=images.shape[1:],
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
    )
    training = assemble(recipe, dataset)
    nowhere = SimpleNamespace(history=None, path=None)
    own, history = callbacks(recipe, training, nowhere)
    own.remove(history)  # it writes a row an epoch
    state = {"step": 0}

    clock = Clock()

    def train(steps):
        logs = training.model.fit(
            training.feed(state["step"]),
            steps_per_epoch=steps,
            callbacks=[*own, clock],
            shuffle=False,
            verbose=0,
        ).history
        state["step"] += steps
        return logs["loss"][0], clock.seconds

    train.macs = count_macs(training.network)
    return train
