"""Learning-rate schedules as arrays, and Keras optimizers with PyTorch's kind of L2."""
