"""``topk-lightning serve``: a page on this machine where a picture is dropped and its k best classes appear."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import sys
from collections.abc import Sequence

from topk_lightning._checks import InvalidValueError, UserError, must
from topk_lightning.cli._errors import check_share
from topk_lightning.cli._parser import OptionParser, check_logit_adjustment
from topk_lightning.cli._possible import add_classes_option, add_sure_options, check_sure
from topk_lightning.cli._runs import checkpoint_of
from topk_lightning.cli._stops import Stopped

__all__ = ["main"]

_LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))


class _InvalidAddressError(UserError, OSError):
    """An address that the server cannot have."""


def main(arguments: Sequence[str]) -> None:
    """Serve until Ctrl-C or SIGTERM; requests that are under way are answered first, for nine seconds."""
    options = _parser().parse_args(list(arguments[1:]))
    if options.coverage is not None:
        check_share(options.coverage)
    check_logit_adjustment(options.logit_adjustment)
    sure = check_sure(options)
    host, port = options.host, _check_port(options.port)
    # Only now: --help and mistakes need no torch.
    from topk_lightning.drawing import visible_text
    from topk_lightning.serving import create_app
    from topk_lightning.serving.server import server_of

    local = _is_loopback(host)
    with _listen(host, port) as listener:
        app = create_app(
            checkpoint_of(options.checkpoint),
            k=options.k,
            coverage=options.coverage,
            sure=sure,
            hierarchy=options.hierarchy,
            classes=options.classes,
            batch_size=options.batch_size,
            max_bytes=options.max_bytes,
            max_pixels=options.max_pixels,
            hosts=_LOOPBACK | {host} if local else None,
            logit_adjustment=options.logit_adjustment,
            network=options.network,
            trust=options.trust,
        )
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listener.getsockname()[1]}"
        sys.stdout.write(f"Serving {visible_text(options.checkpoint)} on {address} until Ctrl-C.\n")
        sys.stdout.flush()
        if not local:
            sys.stderr.write(f"warning: everyone who can reach {host} can use it; it has no password, no encryption.\n")
        # When all is answered, uvicorn passes the signal on that made it stop.
        with contextlib.suppress(KeyboardInterrupt):
            server_of(app).run(sockets=[listener])
    requests = f"{app.dropped} request{'s' if app.dropped > 1 else ''}"
    raise Stopped(f"Stopped. {requests} under way could not be answered in time." if app.dropped else "Stopped.")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise _address_in_use(host, port, error) from error


def _address_in_use(host: str, port: int, error: OSError) -> OSError:
    """Return the error for an address that the server cannot have."""
    if error.errno == errno.EADDRINUSE:
        remedy = "Pass --port 0 for any free one."
        return _InvalidAddressError(must("--port", "be a free port", f"{port}, which another program uses", remedy))
    if error.errno == errno.EACCES:
        return _InvalidAddressError(
            must("--port", "be one that you may use", port, "Ports from 1024 on are open to all.")
        )
    return _InvalidAddressError(must("--host", "be an address of this machine", repr(host)))


def _check_port(port: int) -> int:
    """Return a port; 0 stands for any free one."""
    if not 0 <= port <= 65535:
        raise InvalidValueError(must("--port", "be from 0 to 65535", port, "0 stands for any free one."))
    return port


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parser() -> OptionParser:
    parser = OptionParser(
        "serve", "Show a page where a picture is dropped and its k best classes appear, and answer POST /predict."
    )
    parser.add_checkpoint()
    parser.add_argument("--host", type=str, default="127.0.0.1", help="address to bind; 0.0.0.0: all of this machine")
    parser.add_argument("--port", type=int, default=8000, help="port to bind; 0: any free one")
    parser.add_optional("--k", int, "how many classes where a request does not say (default: 5 at most)")
    parser.add_optional(
        "--coverage", float, "show as few classes as have the right one among them with this probability (after: sets)"
    )
    add_sure_options(parser)
    add_classes_option(parser)
    parser.add_argument("--batch-size", type=int, default=32, help="images that the network sees at a time, at most")
    parser.add_argument("--max-bytes", type=int, default=20_000_000, help="of an image's file")
    parser.add_argument("--max-pixels", type=int, default=50_000_000, help="of an image, read from its header")
    parser.add_logit_adjustment()
    parser.add_network_options()
    return parser
