"""A challenge server in thirty lines: hand in a model, get the page of its report.

    python service.py 8000
    curl --data-binary @model.onnx "http://127.0.0.1:8000/?track=A" > page.html

An example of use behind a real server, which would ask who is there, queue, and keep the reports.
"""

from __future__ import annotations

import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pytest_facechallenge import judge
from pytest_facechallenge.reports.html_report import render

MOST_BYTES = 1 << 30


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:  # the name that http.server calls
        size = int(self.headers.get("Content-Length") or 0)
        track = parse_qs(urlsplit(self.path).query).get("track", ["A"])[0]
        if not 0 < size <= MOST_BYTES:
            self.send_error(413, f"a model of at most {MOST_BYTES} bytes is expected, found {size}")
            return
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model.onnx"
            model.write_bytes(self.rfile.read(size))
            try:
                page = render(judge(model, track, device="cpu", latency="modelled"), images=False)
            except ValueError as error:  # a track that does not exist; what the model does is on the page
                self.send_error(400, str(error))
                return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(page)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
