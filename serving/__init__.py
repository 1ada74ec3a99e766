"""Serving a finished encoder: HTTP server, search."""
