"""Per-image augmentation in integer arithmetic: bit for bit the same on TensorFlow, PyTorch and JAX."""
