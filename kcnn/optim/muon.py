"""Muon: kernels of convolutions move by orthogonal matrices, all other variables by Nesterov's descent."""

import keras
from keras import ops

# Coefficients of the quintic a + b s^2 + c s^4, times s, that moves singular values s in (0, 1] into about 0.7 to 1.2.
A, B, C = 3.4445, -4.7750, 2.0315


class Muon(keras.optimizers.Optimizer):
    """Makes the momentum of each convolution's kernel orthogonal before it is added (Jordan et al. 2024).

    A kernel (h, w, C, F) counts as a matrix of h * w * C rows and F columns. Its momentum is that of Nesterov, made
    orthogonal by iterations of Newton and Schulz. Unlike in Keras's descent the rate is no part of what is remembered.

    Args:
        learning_rate: Of the kernels: the size of a step, since an orthogonal matrix has none of its own.
        momentum: Of the kernels, 0 to below 1.
        iterations: Of Newton and Schulz. 3 leave singular values of the usual sizes between 0.5 and 1.5.
        normalize: Whether each kernel is first scaled to the norm of an orthogonal matrix, the root of F, which the
            batch norm behind it does not see. It takes the place of weight decay.
        others_factor: Learning rate of the other variables, as a factor on that of the kernels.
        others_momentum: Of the other variables.
    """

    def __init__(
        self,
        learning_rate=0.24,
        momentum=0.6,
        iterations=3,
        normalize=True,
        others_factor=1.0,
        others_momentum=0.85,
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.momentum = momentum
        self.iterations_of_newton_schulz = iterations
        self.normalize = normalize
        self.others_factor = others_factor
        self.others_momentum = others_momentum

    @staticmethod
    def makes_orthogonal(variable):
        """Whether a variable is the kernel of a convolution, but of none that keeps each channel to itself."""
        return len(variable.shape) == 4 and variable.shape[-1] > 1

    def _use_weight_decay(self, variable):
        return not self.makes_orthogonal(variable) and super()._use_weight_decay(variable)

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient, variable, learning_rate):
        kernel = self.makes_orthogonal(variable)
        momentum = self.momentum if kernel else self.others_momentum
        velocity = self.momentums[self._get_variable_index(variable)]
        moved = ops.add(ops.multiply(velocity, momentum), gradient)
        self.assign(velocity, moved)
        step = ops.add(gradient, ops.multiply(moved, momentum))
        value = ops.convert_to_tensor(variable)
        if not kernel:
            learning_rate = learning_rate * self.others_factor
        else:
            filters = variable.shape[-1]
            step = orthogonal(ops.reshape(step, (-1, filters)), self.iterations_of_newton_schulz)
            step = ops.reshape(step, variable.shape)
            if self.normalize:
                value = ops.multiply(value, filters**0.5 / _norm(value))
        self.assign(variable, ops.subtract(value, ops.multiply(step, learning_rate)))


def orthogonal(matrix, iterations):
    """Return about U V^T for a matrix U S V^T: singular values come close to 1, the vectors stay.

    Each iteration multiplies the matrix X by P = a + b G + c G^2 with G = X^T X, or from the left where it has more
    columns than rows. P and G commute, so that the next G is G P^2: only the first and the last product are as
    large as the matrix, and all between are of its smaller side.
    """
    tall = matrix.shape[0] >= matrix.shape[1]
    x = ops.divide(matrix, _norm(matrix) + 1e-7)
    transposed = ops.transpose(x)
    gram = ops.matmul(transposed, x) if tall else ops.matmul(x, transposed)
    unit = ops.eye(gram.shape[0], dtype=matrix.dtype)
    product = unit
    for iteration in range(iterations):
        factor = A * unit + ops.matmul(gram, B * unit + C * gram)
        product = ops.matmul(product, factor)
        if iteration + 1 < iterations:
            gram = ops.matmul(factor, ops.matmul(gram, factor))
    return ops.matmul(x, product) if tall else ops.matmul(product, x)


def _norm(x):
    return ops.sqrt(ops.sum(ops.square(x)))
