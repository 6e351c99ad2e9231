"""The exception for faults that a user can mend; any other exception is a bug."""


class MedgridError(Exception):
    """Invalid input or a refused action: the message names the file or key and what to do.

    The command line prints it without a traceback and exits with 1.
    """
