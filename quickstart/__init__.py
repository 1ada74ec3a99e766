"""The whole path in one command, on a generated sample or the user's own dump."""

if __name__ != "rejoinder.quickstart":
    raise ImportError("import rejoinder.quickstart, not quickstart")
