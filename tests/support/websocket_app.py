"""An app of websockets, a server of its own: the path of each says what it does.

How each websocket ended is written to the file ENDED names, if there is one: path, code and reason as a line of JSON.
"""

import asyncio
import json
import os
import sys
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

TAKEN = ["chat.v2", "chat.v1"]


async def process_request(connection: ServerConnection, request: Request) -> Response | None:
    path = request.path.partition("?")[0]
    if path == "/healthcheck":
        return connection.respond(200, "{}\n")
    if path == "/deny":
        response = connection.respond(403, '{"detail": "not you"}')
        response.headers["X-Own"] = "theirs"
        return response
    if path == "/dies-first":
        os._exit(7)
    if path == "/moved":
        response = connection.respond(307, "")
        response.headers["Location"] = "/echo"
        return response
    if path == "/silent":
        await asyncio.sleep(60)
    return None


async def process_response(connection: ServerConnection, request: Request, response: Response) -> None:
    if response.status_code != 101:
        return
    response.headers["Set-Cookie"] = "one=1; Path=/"
    response.headers["Set-Cookie"] = "two=2"
    response.headers["X-Own"] = "mine"


async def handle(connection: ServerConnection) -> None:
    request = connection.request
    assert request is not None
    url = urlsplit(request.path)
    options = {name: values[0] for name, values in parse_qs(url.query).items()}
    try:
        await converse(connection, url.path, options)
        await connection.wait_closed()
    except ConnectionClosed:
        pass
    if ended := os.environ.get("ENDED"):
        with open(ended, "a") as file:
            row = {"path": url.path, "code": connection.close_code, "reason": connection.close_reason}
            file.write(json.dumps(row) + "\n")


async def converse(connection: ServerConnection, path: str, options: dict[str, str]) -> None:
    if path == "/seen":
        assert connection.request is not None
        headers = [[name.lower(), value] for name, value in connection.request.headers.raw_items()]
        await connection.send(json.dumps({"path": connection.request.path, "headers": headers, "pid": os.getpid()}))
    elif path == "/close":
        await connection.send("last words")
        await connection.close(int(options["code"]), options.get("reason", ""))
    elif path == "/big":
        await connection.send(b"x" * int(options["bytes"]))
    elif path == "/die":
        await connection.recv()
        os._exit(7)
    elif path == "/break":
        await connection.recv()
        connection.transport.abort()
    elif path == "/deaf":
        await asyncio.sleep(600)
    elif path == "/flood":
        for number in range(int(options["messages"])):
            await connection.send(b"x" * 65536)
            with open(options["file"], "w") as file:
                file.write(str(number + 1))
    else:
        async for message in connection:
            await connection.send(message)


async def main() -> None:
    place = os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])
    options = {"process_request": process_request, "process_response": process_response, "max_queue": 1}
    async with serve(
        handle,
        *place,
        subprotocols=TAKEN,
        select_subprotocol=choose,
        max_size=None,
        close_timeout=float(os.environ.get("CLOSE_TIMEOUT", "10")),
        **options,
    ):
        await asyncio.get_running_loop().create_future()


def choose(connection: ServerConnection, offered: list[str]) -> str | None:
    return next((protocol for protocol in TAKEN if protocol in offered), None)


if __name__ == "__main__":
    if os.path.exists(os.environ.get("BROKEN", "")):
        sys.exit("no model here")
    asyncio.run(main())
