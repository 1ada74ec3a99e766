"""HTTP: the application, limits of a request, timeouts, shutdown."""
