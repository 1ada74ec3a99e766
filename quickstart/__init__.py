"""All steps from a dump to an exported encoder as one command."""

if __name__ != "rejoinder.quickstart":
    raise ImportError("import rejoinder.quickstart, not quickstart")
