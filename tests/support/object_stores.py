"""An S3 server on loopback, moto's, with faults on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

__all__ = ["BUCKET", "Faults", "S3Server", "s3_server"]

BUCKET = "bananas"
ERROR = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>%s</Message></Error>"
Fault = Callable[[Any, Any, Any], Any]  # takes environ, start_response, and the real application


class S3Server:
    """A running server.

    Attributes:
        url: Its address.
        requests: Method and path of each request.
        faults: Each fails one request of its method ("" for any), in order.
    """

    def __init__(self) -> None:
        self.requests, self.faults = list[tuple[str, str]](), list[tuple[str, Fault]]()
        self._application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        method = environ["REQUEST_METHOD"]
        self.requests.append((method, f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}"))
        for number, (name, fault) in enumerate(self.faults):
            if name in ("", method):
                del self.faults[number]
                return fault(environ, start_response, self._application)
        return self._application(environ, start_response)

    def fail(self, fault: Fault, method: str = "", times: int = 1) -> None:
        """Let the next requests of a method fail."""
        self.faults += [(method, fault)] * times

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Faults:
    """What can happen to a request."""

    @staticmethod
    def status(code: int, name: str) -> Fault:
        def answer(environ: Any, start_response: Any, application: Any) -> list[bytes]:
            body = b"" if environ["REQUEST_METHOD"] == "HEAD" else ERROR % (name.encode(), b"injected")
            start_response(f"{code} {name}", [("content-type", "text/xml"), ("content-length", str(len(body)))])
            return [body]

        return answer

    @staticmethod
    def slow(seconds: float) -> Fault:
        def answer(environ: Any, start_response: Any, application: Any) -> Any:
            time.sleep(seconds)
            return application(environ, start_response)

        return answer

    @staticmethod
    def cut(environ: Any, start_response: Any, application: Any) -> Iterator[bytes]:
        """Send a part of the answer and close the connection."""
        content = b"".join(application(environ, start_response))
        yield content[: len(content) // 2]
        raise ConnectionAbortedError("injected")


@contextmanager
def s3_server() -> Iterator[tuple[S3Server, dict[str, str]]]:
    """Run a server with an empty bucket; yield it, and the variables that lead clients to it."""
    import boto3

    server = S3Server()
    keys = {"aws_access_key_id": "banana", "aws_secret_access_key": "yellow"}
    variables = {
        "AWS_ENDPOINT_URL": server.url, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        **{name.upper(): value for name, value in keys.items()},
    }  # fmt: skip
    try:
        boto3.client("s3", endpoint_url=server.url, region_name="us-east-1", **keys).create_bucket(Bucket=BUCKET)
        yield server, variables
    finally:
        server.close()
