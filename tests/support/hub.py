"""A small Hugging Face hub on 127.0.0.1, for the hub's own library and for our downloads."""

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.ThreadingHTTPServer):
    """A hub that keeps the files of its repositories: "OWNER/NAME/FILE" -> content."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        repository, resolve, file = self.path.lstrip("/").partition("/resolve/main/")
        content = self.server.files.get(f"{repository}/{file}")
        if not resolve or content is None:
            missing = "EntryNotFound" if any(name.startswith(f"{repository}/") for name in self.server.files) else ""
            self._answer(404, b"", {"X-Error-Code": missing or "RepoNotFound", "X-Error-Message": "not found"})
            return
        tag = {"ETag": f'"{sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        self._answer(200, content, {"Content-Type": "application/octet-stream", **tag})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or self._chunks()
        self.server.requests.append(self.path)
        page = f"{self.server.endpoint}/owner/name"
        answer: dict[str, object] = {"errors": [], "warnings": []}
        if self.path == "/api/repos/create":
            answer = {"url": page, "name": "owner/name", "id": "1"}
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            answer = {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files]}
        elif "/commit/" in self.path:
            repository = self.path.removeprefix("/api/models/").partition("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[f"{repository}/{line['value']['path']}"] = base64.b64decode(
                        line["value"]["content"]
                    )
            answer = {"commitUrl": f"{page}/commit/{COMMIT}", "commitOid": COMMIT, "success": True}
        self._answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _chunks(self) -> bytes:
        """Reads a body of Transfer-Encoding: chunked."""
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return body

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Runs a hub inside of the block."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
