"""A version that was live and fails later: its log, `ps` and the calls say why, and what to do."""

from __future__ import annotations

from pathlib import Path

from paths import SUPPORT
from stands import deployed, outcome_of, running, until

APP = SUPPORT / "replica_app.py"


async def test_a_version_that_fails_after_it_was_live_comes_with_advice(tmp_path: Path) -> None:
    async with running(tmp_path, starts=2) as stand:
        project = await deployed(stand, idle_timeout=0)
        await until(lambda: not stand.pool.replicas)
        broken = tmp_path / "broken.py"
        broken.write_text("import cv2_of_another_day\n")
        with stand.store.transaction() as connection:
            connection.exec_driver_sql("UPDATE deployments SET launch = replace(launch, ?, ?)", (str(APP), str(broken)))
        outcome = await outcome_of(await stand.submit(project, "/", b"{}"))
        step = "Add `cv2-of-another-day` to requirements.txt."
        assert step in str(outcome.error)
        assert step in str(stand.problem(stand.projects.named("app")))
        lines = [str(row["line"]) for row in stand.log_of(project).last(100)]
        assert any(line.startswith("advice: cv2_of_another_day is not installed") for line in lines)
