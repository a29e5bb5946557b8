"""Stock Keras: its own layers and augmentation, `compile` and `fit` with their defaults.

On TensorFlow that is without XLA: Keras leaves it out without a GPU, and of models with its RandomTranslation.
"""

import keras
from _clock import Clock
from keras import layers


def conv_norm_relu(x, filters, strides=1, bias=True):
    x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=bias, kernel_initializer="he_normal")(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))


def simple_cnn(x):
    for filters in (32, 64):
        x = conv_norm_relu(conv_norm_relu(x, filters), filters)
        x = layers.SpatialDropout2D(0.25)(layers.MaxPooling2D(2)(x))
    x = layers.Flatten()(layers.MaxPooling2D(2)(conv_norm_relu(x, 128)))
    return layers.Dropout(0.5)(layers.Dense(512, activation="relu")(x))


def resnet20(x):
    x = conv_norm_relu(x, 16, bias=False)
    for filters in [16] * 3 + [32] * 3 + [64] * 3:
        shortcut, more = x, filters - x.shape[-1]
        if more:  # option A: every second pixel, and zeros for the new channels
            shortcut = layers.AveragePooling2D(1, 2)(x)
            shortcut = keras.ops.pad(shortcut, ((0, 0), (0, 0), (0, 0), (0, more)))
        x = conv_norm_relu(x, filters, 2 if more else 1, bias=False)
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        x = layers.ReLU()(layers.Add()([x, shortcut]))
    return layers.GlobalAveragePooling2D()(x)


def trainer(network, precision, images, labels, batch_size):
    """Return a function that trains on the next `steps` batches and returns their mean loss, and the seconds."""
    keras.config.set_dtype_policy(precision)
    inputs = keras.Input((32, 32, 3))
    x = layers.RandomTranslation(0.125, 0.125, fill_mode="constant")(layers.RandomFlip("horizontal")(inputs))
    x = {"simple_cnn": simple_cnn, "resnet20": resnet20}[network](layers.Rescaling(1 / 255)(x))
    model = keras.Model(inputs, layers.Dense(10, dtype="float32")(x))
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True) if network == "resnet20" else "adam"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])

    clock = Clock()

    def train(steps):
        count = steps * batch_size
        assert count <= len(images), "there are fewer images: take fewer --steps"
        logs = model.fit(images[:count], labels[:count], batch_size=batch_size, callbacks=[clock], verbose=0).history
        return logs["loss"][0], clock.seconds

    return train
