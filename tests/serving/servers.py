"""Real servers for tests: uvicorn in a thread with real sockets, and the command in a process of its own."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from topk_lightning.serving.server import server_of


@contextlib.contextmanager
def running(app: Any) -> Iterator[str]:
    """Serve an application in a thread, and give its address."""
    server = server_of(app)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def command(*words: str) -> subprocess.Popen[str]:
    """Start `topk-lightning serve`, which hears Ctrl-C also where the shell that runs the tests ignores it."""
    program = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program += "from topk_lightning.cli import main; sys.exit(main())"
    whole = [sys.executable, "-W", "ignore", "-c", program, "serve", *words]
    return subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stop(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Press Ctrl-C and return what the process had still to say."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=30)
