"""The exception for errors that a user can fix; any other exception is a bug."""


class MedgridError(Exception):
    """Invalid input or a refused action. The message names the file or key and says what to do.

    The command line prints it without a traceback and exits with 1.
    """
