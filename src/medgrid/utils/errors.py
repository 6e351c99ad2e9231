"""The one exception that is a message to the user rather than a bug."""


class MedgridError(Exception):
    """Bad input or a refused action: its text names the file or key and the way out.

    The command line prints it without a traceback and exits with 1.
    """
