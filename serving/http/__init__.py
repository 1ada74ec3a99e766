"""The ASGI application: routes, limits on requests, the page, and shutdown."""
