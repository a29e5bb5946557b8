"""What every file computes, written with Keras alone: pixels in, logits and probabilities out."""


def answering(network, temperature):
    """Return the function `uint8 (B, H, W, C) -> {"logits", "probabilities"}`, float32 (B, K) each.

    Args:
        network: A Keras model from pixels to logits.
        temperature: What the logits are divided by before the softmax.
    """
    from keras import ops

    def answer(pixels):
        logits = ops.cast(network(ops.cast(pixels, "float32"), training=False), "float32")
        scaled = logits if temperature == 1 else logits / temperature
        return {"logits": logits, "probabilities": ops.softmax(scaled)}

    return answer
