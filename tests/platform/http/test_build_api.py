"""What /stand/v1 says of a build: its example inputs, its advice, and the last lines of a log."""

from __future__ import annotations

import json
from pathlib import Path

from stands import Up


def test_a_build_has_its_example_and_logs_have_their_last_lines(tmp_path: Path) -> None:
    with Up(tmp_path) as up:
        build = up.deploy("app")
        assert build["example_input"] is None
        source = tmp_path / "builds" / build["id"] / "source"
        source.mkdir()
        (source / "banana_config.json").write_text('{"example_input": {"prompt": "a cat"}}')
        assert up.http.get(f"/stand/v1/builds/{build['id']}").json()["example_input"] == {"prompt": "a cat"}

        log = up.http.get(f"/stand/v1/builds/{build['id']}/log?last=1").text.splitlines()
        assert [json.loads(line)["line"][:5] for line in log] == ["live;"]
        assert len(up.http.get("/stand/v1/projects/app/logs?last=2").text.splitlines()) == 2
        assert up.http.get("/stand/v1/projects/app/logs?last=0").status_code == 400

        failed = up.deploy("app", as_of="2023-03-01", environment={"CRASH_AT_START": "1"})
        assert (failed["state"], failed["as_of"], failed["advice"]) == ("failed", "2023-03-01", None)
        assert "\n" not in failed["error"]
        assert up.http.post("/stand/v1/projects/app/deploy", json={"source": "x", "as_of": "May"}).status_code == 400
