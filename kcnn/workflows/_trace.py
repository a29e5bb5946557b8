"""One backend's side of a parity comparison: a training that shows every step, driven through a pipe."""

import hashlib
import os

import numpy as np

from kcnn import backend
from kcnn.workflows._child import Requests, begin

LOGITS = 512  # held-out images whose logits are compared
BATCH = 64  # of them at once, which takes less memory than a training step


class Trace:
    """A training that is looked at step by step.

    Args:
        recipe: A recipe.
        dataset: Its data, with training images at least.
        weights: The `Weights` that it starts from, or None.
    """

    def __init__(self, recipe, dataset, weights=None):
        import keras

        from kcnn.assemble import assemble
        from kcnn.layers.dropout import PositionalDropout

        self.training = assemble(recipe, dataset, weights)
        model = self.training.model
        self._watch_optimizer()
        self.augmentation = keras.Model(model.inputs, model.get_layer("to_float").input)
        self.dropouts = [layer for layer in model.layers if isinstance(layer, PositionalDropout)]
        self.held_out = dataset.validation or dataset.train
        self.biases = biases_before_norm(self.training.network)
        # What each bias has contributed to the running mean of the norm behind it.
        self.shifts = dict.fromkeys(self.biases.values(), 0.0)

    def _watch_optimizer(self):
        from kcnn.optim.gradient_norm import record_gradient_norm

        model = self.training.model
        self.gradient_norm = record_gradient_norm(model.optimizer)
        model.optimizer.build(model.trainable_variables)

    def enter(self, number):
        """Begin the stage of the training that batch `number` belongs to, unless it has begun."""
        if self.training.enter(self.training.stage_of(number // self.training.batches.steps_per_epoch)):
            self._watch_optimizer()

    def weights(self):
        """Return every weight of the network by its path; running means without the biases in front of them."""
        found = {weight.path: _array(weight) for weight in self.training.network.weights}
        for norm, shift in self.shifts.items():
            found[f"{norm}/moving_mean"] = found[f"{norm}/moving_mean"] - shift
        return found

    def state(self):
        """Return the values of all variables of the model and its optimizer, in their order."""
        return [_array(variable) for variable in self._variables()]

    def set_state(self, values):
        for variable, value in zip(self._variables(), values, strict=True):
            variable.assign(value)

    def _variables(self):
        return [*self.training.model.variables, *self.training.model.optimizer.variables]

    def logits(self):
        """Return float32 (n, K): the logits of the held-out images, at inference."""
        found = []
        for start in range(0, min(LOGITS, len(self.held_out)), BATCH):
            rows = np.arange(start, min(start + BATCH, LOGITS, len(self.held_out)))
            pixels = self.held_out.images[rows].astype("float32")
            found.append(np.asarray(self.training.network.predict_on_batch(pixels), "float32"))
        return np.concatenate(found)

    def step(self, number):
        """Train on batch `number` and return what it was and did, as plain values."""
        inputs, labels, *sample_weight = self.training.batches[number]
        seen = {
            "images": digest(_array(self.augmentation(inputs, training=True))),
            "labels": digest(labels, *sample_weight),
            "masks": digest(*[self._mask(layer, inputs["position"]) for layer in self.dropouts]),
        }
        model = self.training.model
        for bias, norm in self.biases.items():
            layer = self.training.network.get_layer(norm)
            if not layer.trainable:  # and so its running mean stays
                continue
            before = _array(self.training.network.get_layer(bias.rpartition("/")[0]).bias)
            self.shifts[norm] = layer.momentum * self.shifts[norm] + (1 - layer.momentum) * before
        rate = float(_array(model.optimizer.learning_rate))
        model.reset_metrics()
        logs = model.train_on_batch(inputs, labels, *sample_weight, return_dict=True)
        return {
            **seen,
            "learning_rate": rate,
            "loss": float(logs["loss"]),
            "gradient_norm": float(_array(self.gradient_norm)),
        }

    def step_from(self, number, state):
        """Return what `step` does from the state of another backend, and go back to one's own."""
        own, shifts = self.state(), dict(self.shifts)
        self.set_state(state)
        found = self.step(number)
        self.set_state(own)
        self.shifts = shifts
        return found

    def _mask(self, layer, position):
        return _array(layer.dropped(position, layer.output.shape))


def biases_before_norm(network):
    """Return {path of a bias: name of the batch norm behind it} where the norm takes away what the bias adds.

    The gradient of such a bias is zero: exactly where the training graph leaves it out, as it does on feature maps, and
    but for rounding elsewhere.
    """
    producers, consumers = {}, {}
    for layer in network.get_config()["layers"]:
        sources = set(_histories(layer["inbound_nodes"]))
        producers[layer["config"]["name"]] = sources
        for source in sources:
            consumers.setdefault(source, []).append((layer["class_name"], layer["config"]["name"]))
    found = {}
    for layer in network.layers:
        behind = consumers.get(layer.name, [])
        if getattr(layer, "bias", None) is not None and [kind for kind, _ in behind] == ["BatchNormalization"]:
            found[layer.bias.path] = behind[0][1]
    return found


def _histories(value):
    """Yield the names of the layers that a serialised call takes its tensors from."""
    if isinstance(value, dict):
        if "keras_history" in value:
            yield value["keras_history"][0]
        for item in value.values():
            yield from _histories(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _histories(item)


def digest(*arrays):
    """Return a hash of arrays, their shapes and types."""
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _array(value):
    from keras import ops

    return np.array(ops.convert_to_numpy(value))


# ---------------------------------------------------------------- the child process


def serve():
    """Answer each line of stdin, a JSON request, with a line of stdout; arrays go through .npz files.

    Requests: {"recipe": TOML}; {"step": number}, with "state": path saving the state before it, or with "from": path
    taken from that state; {"logits": path}. "weights": path saves the weights after a request.
    """
    requests = Requests()
    backend.select(os.environ["KERAS_BACKEND"])
    trace = None
    for request in requests:
        with requests.errors_answered():
            if "recipe" in request:
                trace = None  # before the next one takes its memory
                trace, answer = _begin(request)
            elif "from" in request:
                with np.load(request["from"]) as file:
                    answer = trace.step_from(request["step"], list(file.values()))
            elif "step" in request:
                trace.enter(request["step"])
                if "state" in request:
                    np.savez(request["state"], *trace.state())
                answer = trace.step(request["step"])
            else:
                np.savez(request["logits"], logits=trace.logits())
                answer = {}
            if "weights" in request:
                np.savez(request["weights"], **trace.weights())
            requests.answer(answer)


def _begin(request):
    from kcnn.workflows._prepare import prepare

    recipe, dataset, weights = prepare(begin(request["recipe"]))
    trace = Trace(recipe, dataset, weights)
    return trace, {
        "steps": len(trace.training.batches),
        "data": dataset.fingerprint,
        "biases": list(trace.biases),
        "statistics": [
            path for path in trace.weights() if path.rpartition("/")[2] in ("moving_mean", "moving_variance")
        ],
    }


if __name__ == "__main__":
    serve()
