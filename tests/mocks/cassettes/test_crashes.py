"""A cassette after what goes wrong while it is written: a kill, a full disk, a deleted file, a second recording."""

from __future__ import annotations

import itertools
import resource
import threading
import time
from pathlib import Path

import httpx2
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

import bananastand_mocks
from bananastand_mocks.cassettes import Cassette, CassetteError, recorder
from bananastand_mocks.cassettes.bodies import content_of
from bananastand_mocks.cassettes.cassette import read_cassette
from bananastand_mocks.cassettes.scrubber import Scrubber
from servers import mocks

SERVICE = {"gobananas": "http://127.0.0.1"}


@pytest.fixture
def cassette(tmp_path: Path) -> Cassette:
    return Cassette(tmp_path / "c.yaml", SERVICE, Scrubber())


def entry(name: str, text: str = "one\ntwo\n") -> dict[str, object]:
    request = {"method": "GET", "path": f"/{name}"}
    return {"provider": "gobananas", "request": request, "response": {"status": 200, "body": {"text": text}}}


def paths(file: Path) -> list[str]:
    return [interaction.path for interaction in read_cassette(file)]


def test_a_killed_recording_has_every_answer_that_came(httpserver: HTTPServer, tmp_path: Path) -> None:
    httpserver.expect_request("/api/profile").respond_with_json({"lines": ["pear\n" * 10] * 4000})
    file = tmp_path / "killed.yaml"
    for answers in (1, 5, 9):
        file.unlink(missing_ok=True)
        received = list[int]()
        with mocks("--record", f"gobananas={httpserver.url_for('').rstrip('/')}", "--cassette", str(file)) as recording:

            def call(port: int = recording.port, received: list[int] = received) -> None:
                with httpx2.Client(base_url=f"http://127.0.0.1:{port}/gobananas", trust_env=False) as http:
                    try:
                        while True:
                            received.append(http.get("/api/profile").status_code)
                    except httpx2.HTTPError:
                        return

            callers = [threading.Thread(target=call) for _ in range(3)]
            for caller in callers:
                caller.start()
            recording.wait_until(lambda answers=answers, received=received: len(received) >= answers)
            recording.kill()
            for caller in callers:
                caller.join()

        assert set(received) == {200}
        assert len(paths(file)) >= len(received)


def test_a_cassette_that_is_cut_at_any_byte_has_all_entries_but_the_last(cassette: Cassette) -> None:
    for name in ("first", "second"):
        cassette.add(entry(name))
    content = cassette.path.read_bytes()
    second = content.rindex(b"\n- ") + 1

    for length in range(second, len(content) - len("\n")):
        cassette.path.write_bytes(content[:length])
        assert paths(cassette.path) == ["/first"]
    cassette.path.write_bytes(content)
    assert paths(cassette.path) == ["/first", "/second"]


def test_a_recording_goes_on_behind_an_entry_that_was_cut_off(cassette: Cassette, tmp_path: Path) -> None:
    cassette.add(entry("first"))
    content = cassette.path.read_bytes()
    cut = tmp_path / "cut.yaml"
    cut.write_bytes(content + content[content.rindex(b"\n- ") + 1 :][:60])

    Cassette(cut, SERVICE, Scrubber(), append=True).add(entry("second"))

    assert paths(cut) == ["/first", "/second"]


def test_a_full_disk_leaves_the_entries_whole_and_a_later_call_writes_what_is_missing(cassette: Cassette) -> None:
    cassette.add(entry("first"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (cassette.path.stat().st_size + 1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            cassette.add(entry("second", "x" * 10_000))
        assert paths(cassette.path) == ["/first"]
        assert [file.name for file in cassette.path.parent.iterdir()] == ["c.yaml"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    cassette.add(entry("third"))

    assert paths(cassette.path) == ["/first", "/second", "/third"]


def test_an_endless_stream_is_recorded_up_to_a_limit(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_STREAM", 50_000)
    pieces = itertools.repeat(f"data: {'x' * 1000}\n\n")
    httpserver.expect_request("/endless").respond_with_response(Response(pieces, content_type="text/event-stream"))
    with bananastand_mocks.start("gobananas") as server:
        stand = server.stand()
        stand.record(tmp_path / "c.yaml", f"gobananas={httpserver.url_for('').rstrip('/')}")
        with httpx2.stream("GET", f"{stand.endpoint('gobananas').base_url}/endless") as response:
            chunks = response.iter_bytes()
            received = sum(len(next(chunks)) for _ in range(200))
        limit = time.monotonic() + 20
        while not (entries := read_cassette(tmp_path / "c.yaml")):
            assert time.monotonic() < limit
            time.sleep(0.02)

    assert received > 50_000
    assert 0 < len(content_of(entries[0].answer)) < received
    assert len(content_of(entries[0].answer)) < 50_000 + 2**20


def test_a_deleted_cassette_comes_back_whole(cassette: Cassette) -> None:
    cassette.add(entry("first"))
    cassette.path.unlink()

    cassette.add(entry("second"))

    assert paths(cassette.path) == ["/first", "/second"]
    assert cassette.path.stat().st_mode & 0o777 == 0o600


def test_a_second_recording_into_one_cassette_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    first = Cassette(tmp_path / "c.yaml", SERVICE, Scrubber())
    first.add(entry("first"))
    with pytest.raises(CassetteError, match=r"c\.yaml is being recorded by another process: end that recording"):
        Cassette(first.path, SERVICE, Scrubber(), append=True)
    first.add(entry("second"))

    del first
    Cassette(tmp_path / "c.yaml", SERVICE, Scrubber(), append=True).add(entry("third"))

    assert paths(tmp_path / "c.yaml") == ["/first", "/second", "/third"]
