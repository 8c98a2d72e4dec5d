"""What both applications share: requests that are held in flight, and the server."""

import logging
import os
import threading

from werkzeug.serving import make_server

# Requests that wait, by name.
_held: dict[str, threading.Event] = {}


def hold(name: str) -> None:
    """Keeps the calling request in flight until somebody releases it."""
    event = _held[name] = threading.Event()
    try:
        if not event.wait(timeout=120):
            raise TimeoutError("nobody released the request")
    finally:
        del _held[name]


def is_held(name: str) -> bool:
    return name in _held


def release(name: str) -> bool:
    event = _held.get(name)
    if event:
        event.set()
    return event is not None


def serve(app) -> None:
    """Serves on PORT (0: any); prints `listening <port>` once it is there."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", int(os.environ.get("PORT", "0")), app, threaded=True)
    print(f"listening {server.server_port}", flush=True)
    server.serve_forever()
