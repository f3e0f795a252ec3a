"""The error that a user can mend."""


class HyperSORTError(RuntimeError):
    """Bad input or a failed precondition; the text says what is wrong, where, and what to do about it.

    The command line prints the text alone, without a traceback. Everything else that is raised is a defect.
    """
