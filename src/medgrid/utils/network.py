"""Check within seconds, before anything is fetched, that a server can be reached.

Retries (`medgrid.utils.retry`) help with transient errors: a busy server, an interrupted transfer. Without a network,
or behind a firewall that requires a proxy, retries would only delay the error message.
"""

import socket
import threading
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import MaxRetryError

from medgrid.utils.errors import MedgridError

TIMEOUT = 4.0  # seconds for name resolution and connection together


def require_connection(url: str, advice: str) -> None:
    """Raise MedgridError unless the server of `url`, or its proxy, accepts a connection within TIMEOUT.

    `advice` says how to proceed without a connection, such as "put the file into DIR".
    """
    host, proxy = urlsplit(url).hostname, _proxy(url)
    address = _address(proxy or url)
    faults = []

    def connect() -> None:
        try:
            socket.create_connection(address, TIMEOUT).close()
        except OSError as error:
            faults.append(error.strerror or str(error))

    # in a thread: name resolution has no timeout, and each address of a host is tried for TIMEOUT
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    if thread.is_alive():
        faults.append(f"no answer within {TIMEOUT:g} s")
    if faults:
        name, port = address
        peer = f"{host} through the proxy {name}:{port}" if proxy else f"{host}:{port}"
        raise MedgridError(f"no connection to {peer} ({faults[0]}). {_ways_out(advice)}")


def require_handshake(error: requests.RequestException, url: str, advice: str) -> None:
    """Raise MedgridError if `error` says that a proxy or a certificate prevented a connection.

    requests raises the same class when a connection is interrupted later, but then not with MaxRetryError.
    """
    cause = error.args[0] if error.args else None
    setup = isinstance(error, requests.exceptions.ProxyError | requests.exceptions.SSLError)
    if setup and isinstance(cause, MaxRetryError):
        # a proxy's refusal is wrapped once more
        fault = getattr(cause.reason, "original_error", cause.reason)
        raise MedgridError(f"no connection to {urlsplit(url).hostname} ({fault}). {_ways_out(advice)}") from None


def _proxy(url: str) -> str | None:
    """The proxy that requests uses for `url`, with a scheme; None without one."""
    proxy = select_proxy(url, get_environ_proxies(url))
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _address(url: str) -> tuple[str, int]:
    """Host and port."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or {"https": 443, "socks5": 1080, "socks5h": 1080}.get(parts.scheme, 80)


def _ways_out(advice: str) -> str:
    return (
        "Check that this machine has internet access, and set https_proxy if it needs a proxy. "
        f"Without internet access, {advice}"
    )
