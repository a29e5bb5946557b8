"""What a trained network is written as for others to run: one file a format, with both its halves.

A format is a class that is registered in `FORMATS`. Its `write` runs where Keras does, on the backend `WRITTEN_ON`, and
turns a network from pixels to logits into a file; an instance is such a file in the format's own runtime, which knows
neither Keras nor kcnn's model code. What they share:

    FILE             name of the file (or folder) in the folder of an export
    SUFFIX           what such a file may end in when it has another name; "" for a folder
    WRITTEN_ON       the backend that writes it
    RUNTIME          modules that running takes
    WRITING          modules that writing takes beside those and the backend's
    QUANTIZATIONS    {"int8": modules that it takes beside, ...}, what is offered beside float32
    write(network, path, metadata, *, quantize=None, calibration=None)
    __init__(path)   opens the file
    metadata         `Metadata`, read from the file itself
    answer(pixels)   uint8 (B, H, W, C), any B -> float32 (B, K) logits, float32 (B, K) probabilities

Each file takes uint8 pixels: that is what decoders give, it is a quarter of the bytes to send, and pixels that someone
has divided by 255 already are refused and not answered with nonsense.
"""
