"""Serving a finished encoder: HTTP server, search."""

if __name__ != "rejoinder.serving":
    raise ImportError("import rejoinder.serving, not serving")
