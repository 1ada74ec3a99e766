"""The web page: a few fixed files, read once, so that no request reaches the file system."""

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

# Path → template.
_TEMPLATES = {"/": "rank.html", "/docs": "docs.html"}
# Ending of the files that are served under their own names → media type.
_MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_responses() -> dict[str, Response]:
    """Returns the response of each path of the page."""
    templates = Environment(
        loader=PackageLoader("rejoinder.serving", "page"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    responses = {
        path: _response(templates.get_template(name).render().encode(), "text/html; charset=utf-8")
        for path, name in _TEMPLATES.items()
    }
    for file in files("rejoinder.serving").joinpath("page").iterdir():
        _, dot, ending = file.name.rpartition(".")
        if media_type := _MEDIA_TYPES.get(dot + ending):
            responses[f"/{file.name}"] = _response(file.read_bytes(), media_type)
    return responses


def _response(content: bytes, media_type: str) -> Response:
    return Response(content, headers={"Content-Type": media_type, **_HEADERS})
