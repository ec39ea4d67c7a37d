"""The example of a service: an uploaded model comes back as the page of its report."""

from __future__ import annotations

import importlib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.models import network

SERVICE = Path(__file__).parents[2] / "examples" / "service"


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A running service."""
    monkeypatch.syspath_prepend(SERVICE)
    handler = importlib.import_module("service").Handler
    monkeypatch.setattr(handler, "log_message", lambda *_: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def sent(address: str, data: bytes) -> str:
    """Return the page that a service answers with."""
    with urllib.request.urlopen(urllib.request.Request(address, data=data), timeout=120) as answer:
        return str(answer.read().decode())


def test_a_model_is_answered_with_its_page(address: str) -> None:
    page = sent(f"{address}/?track=A", network(dim=640).SerializeToString())
    assert "NON-COMPLIANT" in page
    assert "embedding-dim" in page


def test_what_cannot_be_judged_is_refused_with_a_sentence(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="there is no track 'Z'") as refused:
        sent(f"{address}/?track=Z", b"x")
    refused.value.close()
    with pytest.raises(urllib.error.HTTPError, match="found 0") as refused:
        sent(f"{address}/?track=A", b"")
    refused.value.close()
