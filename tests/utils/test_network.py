"""A server out of reach is reported within seconds, with the ways out."""

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


def fault(url: str) -> str:
    with pytest.raises(MedgridError) as refused:
        network.require_connection(url, ADVICE)
    assert ADVICE in str(refused.value)
    assert "https_proxy" in str(refused.value)
    return str(refused.value)


def test_a_server_that_accepts_connections_is_asked_nothing(standin):
    server = standin(b"")
    server.statuses = [503]
    network.require_connection(server.url, ADVICE)
    assert server.requests == []


def test_refused(closed_port):
    assert f"no connection to 127.0.0.1:{closed_port} (Connection refused)" in fault(
        f"http://127.0.0.1:{closed_port}/file"
    )


def test_a_name_that_nobody_resolves():
    assert "no connection to nowhere.invalid:443 (" in fault("https://nowhere.invalid/file")


@pytest.mark.parametrize("scheme", ["", "http://", "http://someone:secret@"])
def test_a_proxy_out_of_reach(closed_port, monkeypatch, scheme):
    monkeypatch.setenv("https_proxy", f"{scheme}127.0.0.1:{closed_port}")
    said = fault("https://example.org/file")
    assert f"no connection to example.org through the proxy 127.0.0.1:{closed_port} (Connection refused)" in said
    assert "secret" not in said


def test_no_answer_within_the_limit(monkeypatch):
    """Packets that a firewall drops, or a name server that stays silent."""
    over = threading.Event()

    def silent(*_):
        over.wait(60)
        raise TimeoutError

    monkeypatch.setattr(network.socket, "create_connection", silent)
    monkeypatch.setattr(network, "LIMIT", 0.05)
    assert "no connection to example.org:443 (no answer within 0.05 s)" in fault("https://example.org")
    over.set()


def test_a_connection_that_broke_off_is_no_refusal(standin):
    server = standin(b"x" * 1000)
    server.cuts = 1
    with pytest.raises(requests.RequestException) as broken:
        requests.get(server.url, timeout=5)
    network.require_handshake(broken.value, server.url, ADVICE)
