"""An unreachable server is reported within seconds, with what to do."""

import threading

import pytest
import requests

from medgrid.utils import network
from medgrid.utils.errors import MedgridError

ADVICE = "put the file into DIR"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def message(url: str) -> str:
    with pytest.raises(MedgridError) as refused:
        network.require_connection(url, ADVICE)
    assert ADVICE in str(refused.value)
    assert "https_proxy" in str(refused.value)
    return str(refused.value)


def test_a_server_that_accepts_connections_gets_no_request(standin):
    server = standin(b"")
    server.statuses = [503]
    network.require_connection(server.url, ADVICE)
    assert server.requests == []


def test_refused_connection(closed_port):
    assert f"no connection to 127.0.0.1:{closed_port} (Connection refused)" in message(
        f"http://127.0.0.1:{closed_port}/file"
    )


def test_unknown_host():
    assert "no connection to nowhere.invalid:443 (" in message("https://nowhere.invalid/file")


@pytest.mark.parametrize("scheme", ["", "http://", "http://someone:secret@"])
def test_unreachable_proxy(closed_port, monkeypatch, scheme):
    monkeypatch.setenv("https_proxy", f"{scheme}127.0.0.1:{closed_port}")
    text = message("https://example.org/file")
    assert f"no connection to example.org through the proxy 127.0.0.1:{closed_port} (Connection refused)" in text
    assert "secret" not in text


def test_no_answer_within_the_timeout(monkeypatch):
    """As when a firewall drops packets, or a name server does not answer."""
    over = threading.Event()

    def silent(*_):
        over.wait(60)
        raise TimeoutError

    monkeypatch.setattr(network.socket, "create_connection", silent)
    monkeypatch.setattr(network, "TIMEOUT", 0.05)
    assert "no connection to example.org:443 (no answer within 0.05 s)" in message("https://example.org")
    over.set()


def test_an_interrupted_transfer_is_not_a_refusal(standin):
    server = standin(b"x" * 1000)
    server.cuts = 1
    with pytest.raises(requests.RequestException) as broken:
        requests.get(server.url, timeout=5)
    network.require_handshake(broken.value, server.url, ADVICE)
