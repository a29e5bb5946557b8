"""How good probabilities are: plain functions of NumPy arrays, which know no model and no file."""
