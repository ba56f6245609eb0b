"""The server of the page, for this computer alone unless another address is given.

Gradio's own launcher would do, but it asks the page for an answer within three seconds, offers to
share the page through a server of its makers where there is none, and lets the page load what it
likes. This server says to the browser that nothing is to be loaded from or sent to anywhere else.
"""

import os
import socket
import sys
import webbrowser
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import closing
from typing import Any

from cycleisp.app.actions.workspace import Workspace, workspace
from cycleisp.app.page import STYLE, build, theme  # first, since it switches Gradio's telemetry off
from cycleisp.utils.errors import UserError, reason
from cycleisp.utils.limits import MAX_PIXELS

import fastapi  # isort: skip
import gradio as gr  # isort: skip
import uvicorn  # isort: skip
from starlette.middleware.trustedhost import TrustedHostMiddleware  # isort: skip

PORTS = range(7860, 7960)
LOCAL = ("127.0.0.1", "localhost")
# what a browser may load and send to: this server alone
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:"
)
_END = 1  # second for which open pages are waited for at the end

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class _OwnOnly:
    """Adds the policy to every answer."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"content-security-policy", _POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self.app(scope, receive, with_policy)


def server_of(place: Workspace, host: str = LOCAL[0], megabytes: float = 500.0) -> uvicorn.Server:
    """Returns the server of a page, which has not been started.

    Args:
        place: where the page works.
        host: the address to listen at. For one of this computer, requests that name another
            computer are refused, as pages of others could make a browser send.
        megabytes: largest file.
    """
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if host in LOCAL:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL))
    app.add_middleware(_OwnOnly)
    gr.mount_gradio_app(
        app,
        build(place),
        path="/",
        server_name=host,
        max_file_size=int(megabytes * 1e6),
        show_error=True,  # gr.Error only says what the page says; see tabs/events.py
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        theme=theme(),
        css=STYLE,
    )
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_END)
    return uvicorn.Server(config)


def listen(host: str, port: int | None) -> socket.socket:
    """Returns a socket that listens; without a port, at the first free one of PORTS.

    Raises:
        UserError: the port is taken, or the address is none of this computer.
    """
    for number in PORTS if port is None else (port,):
        try:
            return socket.create_server((host, number))
        except OSError as error:
            failure = error
    where = f"port {PORTS.start} to {PORTS.stop - 1}" if port is None else f"port {port}"
    raise UserError(f"cannot listen at {host}, {where} ({reason(failure)}); give another --port or --host")


def serve(
    host: str,
    port: int | None,
    open_browser: bool,
    device: str,
    minutes: float,
    megabytes: float,
    megapixels: float,
) -> None:
    """Shows the page until the process is stopped.

    Args:
        host, port: where to listen; without a port, at the first free one from 7860.
        open_browser: whether to open the page.
        device: to compute on.
        minutes: longest time for one result.
        megabytes: largest file.
        megapixels: largest picture. CYCLEISP_MAX_PIXELS counts before it.

    Raises:
        UserError: as `listen`.
    """
    os.environ.setdefault(MAX_PIXELS, str(int(megapixels * 1e6)))
    with closing(listen(host, port)) as ear, workspace(device, minutes, own_weights=host in LOCAL) as place:
        server = server_of(place, host, megabytes)
        address = f"http://{host}:{ear.getsockname()[1]}"
        print(f"the page is at {address}; Ctrl-C ends it", flush=True)
        if host not in LOCAL:
            print("whoever reaches this computer over the network can use it", file=sys.stderr)
        if open_browser:
            webbrowser.open(address)  # the browser waits: the socket listens already
        server.run(sockets=[ear])
