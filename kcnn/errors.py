"""Errors that a user can cause and mend: one clear line each, with the exit code it deserves."""


class KcnnError(Exception):
    """The work failed, or a check did not hold. The command line exits with `exit_code`."""

    exit_code = 1


class UsageError(KcnnError):
    """The call was wrong: nothing was attempted, and another call would work."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe that cannot be read, is not valid, or does not fit its data."""


class BackendError(UsageError):
    """A framework or device that is unknown, not installed, or chosen too late."""


class DataError(KcnnError):
    """Images or labels that cannot be used as they are."""


class DataNotFoundError(DataError):
    """The named data is not there, or holds nothing that kcnn recognises as data."""

    exit_code = 2


class ImageError(DataError):
    """One image that cannot be read; the message holds its name and the reason."""


class RunError(UsageError):
    """A run folder that is missing, incomplete, or already taken."""


class WeightsError(KcnnError):
    """Weights to start from that cannot be read or downloaded."""


class TrainingError(KcnnError):
    """Training that cannot go on, for instance because the loss is no longer a number."""


class CheckpointError(KcnnError):
    """A checkpoint that is damaged, or that does not belong to what is to be resumed."""


class Interrupted(KcnnError):
    """The user stopped the work.

    Args:
        where: A sentence about where it stands.
        command: The command that goes on from there.
    """

    def __init__(self, where: str, command: str):
        super().__init__(f"{where} Go on with: {command}")
        self.where = where
