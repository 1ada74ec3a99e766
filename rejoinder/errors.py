"""The exception for errors that the user can fix."""


class UserError(Exception):
    """An error whose message is complete for the user.

    The message says what happened, where (file and offset, config key, request
    field) and what to do. `rejoinder.cli.run` prints it as one line without a
    traceback; any other exception is a bug and keeps its traceback.
    """
