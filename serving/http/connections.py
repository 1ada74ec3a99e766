"""What concerns the connection of a request: its host, its unread body, its keep-alive time."""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rejoinder.serving.apis.error_forms import TENSORFLOW
from rejoinder.serving.apis.responses import encoded_json_response
from rejoinder.serving.errors import Code, ServingError


class Connections:
    """ASGI middleware around the whole application.

    - A request whose `Host` is not an allowed name is refused: a web page of another site can
      make a browser send requests to a server on the loopback under that site's own name
      (DNS rebinding).
    - A connection that is answered before the request's body was read is closed, so that the
      rest of the body is neither awaited nor taken for a request.
    - Other responses tell how long the connection stays open (`Keep-Alive: timeout=`).
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], keep_alive_seconds: int):
        """Wraps an application.

        Args:
            app: The application.
            hosts: Allowed names, in lower case and without ports; empty allows all.
            keep_alive_seconds: Idle time after which the server closes a connection.
        """
        self._app = app
        self._hosts = hosts
        self._keep_alive = f"timeout={keep_alive_seconds}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application for one request."""
        headers = Headers(scope=scope)
        unread = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

        async def receive_body() -> Message:
            nonlocal unread
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                unread = False
            return message

        async def send_response(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                if unread:
                    answer["Connection"] = "close"
                elif scope["http_version"] != "1.0":
                    answer["Keep-Alive"] = self._keep_alive
            await send(message)

        name = _name(headers.get("host", ""))
        # Every browser names the host; a request without a name comes from another program.
        foreign = bool(self._hosts and name and name not in self._hosts)
        app: ASGIApp = _refuse if foreign else self._app
        await app(scope, receive_body, send_response)


def _name(host: str) -> str:
    """Returns the name in a `Host` field, without the port and the brackets of IPv6."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    error = ServingError(
        Code.PERMISSION_DENIED,
        "this server has another name than the Host of the request; see --allowed-host",
    )
    response = encoded_json_response(TENSORFLOW.format(error), status=error.code.http)
    await response(scope, receive, send)
