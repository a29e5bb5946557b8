"""The norm of the gradients that an optimizer receives, recorded inside of the training step."""

from keras import ops


def record_gradient_norm(optimizer):
    """Let an optimizer that is not built yet keep the norm of each step's gradients; return the variable that has it.

    It is the norm over all variables together, before clipping, decay and L2, and after a loss scale is divided out.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)

    class Recording(type(optimizer)):
        def _backend_apply_gradients(self, grads, trainable_variables):
            squares = [ops.sum(ops.square(ops.cast(grad, "float32"))) for grad in grads]
            self.gradient_norm.assign(ops.sqrt(sum(squares)))
            super()._backend_apply_gradients(grads, trainable_variables)

    optimizer.gradient_norm = optimizer.add_variable(shape=(), dtype="float32", name="gradient_norm")
    optimizer.__class__ = Recording
    return optimizer.gradient_norm
