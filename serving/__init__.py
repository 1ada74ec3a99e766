"""The server of exported models: HTTP, gRPC and a web page.

The modules at the top are the base: errors, limits, metrics, keys and options.
Imports go one way: base, then `engine` (batches on loaded models), `service` (the
parts of one running server), `apis` (the request and response formats), `http` (the
ASGI application) and last `server`, which is the command `rejoinder serve`.
"""

if __name__ != "rejoinder.serving":
    raise ImportError("import rejoinder.serving, not serving")
