"""Calls fal's queue with fal-client, as a user would, and prints what came back.

It runs with the fal-client that is installed beside its interpreter; FAL_KEY and the addresses are in the environment.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import fal_client
import httpx  # noqa: TID251 - it comes with the package

FLUX = "fal-ai/flux/dev"


def error_of(call: Any) -> Any:
    """Status and text of the error that a call ends with; an error of the package is raised from one of httpx."""
    try:
        return call()
    except Exception as error:
        response = getattr(error, "response", None) or error.__cause__.response
        return [response.status_code, response.json().get("detail")]


def main() -> dict[str, Any]:
    """Make every kind of call."""
    seen: list[str] = []
    answers: dict[str, Any] = {}
    answers["subscribed"] = fal_client.subscribe(
        FLUX,
        {"prompt": "a cat by the sea", "image_size": "square"},
        with_logs=True,
        on_enqueue=lambda request_id: seen.append("enqueued"),
        on_queue_update=lambda status: seen.append(type(status).__name__),
    )
    answers["seen"] = list(dict.fromkeys(seen))
    answers["file"] = httpx.get(answers["subscribed"]["images"][0]["url"]).content[:3].hex()
    answers["run"] = fal_client.run("fal-ai/flux/schnell", {"prompt": "a pear", "seed": 5})
    handle = fal_client.submit(FLUX, {"prompt": "a pear"}, hint="here")
    *_, last = handle.iter_events(with_logs=True)
    answers["logs"] = [line["message"] for line in last.logs]
    answers["seconds"] = last.metrics["inference_time"]
    answers["cancel"] = error_of(lambda: fal_client.submit(FLUX, {"prompt": "a"}).cancel())
    answers["invalid"] = error_of(lambda: fal_client.submit(FLUX, {}).get())
    answers["streamed"] = [len(event["images"]) for event in fal_client.stream(FLUX, {"prompt": "a", "num_images": 2})]
    answers["async"] = asyncio.run(fal_client.subscribe_async(FLUX, {"prompt": "a", "seed": 9}))["seed"]
    return answers


def upload() -> str:
    """Upload a file and read it again."""
    return httpx.get(fal_client.upload(b"a pear", "text/plain")).text


def upload_in_parts() -> bool:
    """Upload a file that is so large that the package sends it in parts; whether it reads the same."""
    content = bytes(range(256)) * 4096 * 101
    return httpx.get(fal_client.upload(content, "application/octet-stream"), timeout=60).content == content


if __name__ == "__main__":
    found = main()
    if httpx.URL(found["subscribed"]["images"][0]["url"]).host == "v3.fal.media":  # uploads have no other address
        found["upload"] = upload()
        found["parts"] = upload_in_parts()
    print("ANSWERS " + json.dumps(found))  # noqa: T201
