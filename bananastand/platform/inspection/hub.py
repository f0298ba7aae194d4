"""Asks the model hub about the weights of a repository: state, size and license."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from ..building.weights.weights import TOKENS, gone_weights
from .findings import Weight

__all__ = ["ask_hub", "known_weights"]

SECONDS = 8.0
AT_ONCE = 8
OTHERS = ("fp16", "non_ema", "int8", "openvino", "flax")  # in names of further formats of the same
WEIGHTS = (".safetensors", ".bin", ".ckpt", ".pt", ".pth", ".gguf", ".msgpack", ".h5", ".onnx")


def known_weights(weights: Sequence[Weight], renamed: dict[str, str]) -> list[Weight]:
    """Return the weights with what is known without the hub; `renamed` are those bananastand.toml replaces."""
    found = list[Weight]()
    for weight in weights:
        gone = gone_weights().get(weight.name)
        if weight.source != "hub" or (gone is None and weight.name not in renamed):
            found.append(weight)
        elif weight.name in renamed:
            reason = f"bananastand.toml fetches {renamed[weight.name]} in its place"
            found.append(replace(weight, state="unknown", reason=reason, successor=renamed[weight.name]))
        elif gone is not None:
            state = "moved" if gone.moved else "gone"
            found.append(replace(weight, state=state, reason=gone.reason, successor=gone.successor))
    return found


def ask_hub(weights: Sequence[Weight], renamed: dict[str, str]) -> tuple[list[Weight], str | None]:
    """Ask the hub for each of its repositories; the second value says why it could not be asked."""
    on_hub = [weight for weight in weights if weight.source == "hub"]
    if not on_hub:
        return list(weights), None
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=_token())
    problem: str | None = None
    answers: dict[str, Weight] = {}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        first, *rest = on_hub
        # One question tells whether there is a network, before the others wait for it.
        answers[first.name], problem = _ask(api, first, renamed)
        if problem is None:
            waiting = [threads.submit(_ask, api, weight, renamed) for weight in rest]
            answers |= {weight.name: done.result()[0] for weight, done in zip(rest, waiting, strict=True)}
    return [answers.get(weight.name, weight) if weight.source == "hub" else weight for weight in weights], problem


def _ask(api: Any, weight: Weight, renamed: dict[str, str]) -> tuple[Weight, str | None]:
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    name = renamed.get(weight.name, weight.name)
    try:
        info = api.model_info(name, revision=weight.revision, files_metadata=True, timeout=SECONDS)
    except RepositoryNotFoundError:
        if weight.state == "gone":
            return weight, None
        reason = "the hub has no repository of that name, or it is private"
        return replace(weight, state="missing", reason=reason), None
    except RevisionNotFoundError:
        return replace(weight, state="missing", reason=f"the hub's repository has no revision {weight.revision}"), None
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            return replace(
                weight, state="gated", reason="the hub gives no access without a token that may read it"
            ), None
        return weight, f"the hub answered {status}"
    except Exception as error:  # no network: of several libraries, by version
        return weight, f"the hub was not reached ({type(error).__name__})"
    data: Any = info.card_data or {}
    size = _size([(file.rfilename, file.size or 0) for file in info.siblings or []])
    found = replace(weight, size=size or None, license=data.get("license"))
    if weight.name in renamed:
        return found, None
    if info.gated:
        return replace(
            found, state="gated", reason=f"its terms are to be accepted at https://huggingface.co/{name}"
        ), None
    if weight.state == "moved":
        return found, None
    return replace(found, state="there"), None


def _size(files: list[tuple[str, int]]) -> int:
    """Return the bytes of one format in full precision, without whole checkpoints beside parts."""
    chosen: dict[str, int] = {}
    in_folders = any("/" in name and name.endswith(WEIGHTS) for name, _ in files)
    for ending in WEIGHTS:
        for name, size in files:
            folder, _, file = name.rpartition("/")
            if not name.endswith(ending) or any(
                word in file for word in ("fp16", "non_ema", "int8", "openvino", "flax")
            ):
                continue
            if in_folders and not folder:
                continue
            chosen.setdefault(f"{folder} {ending}", 0)
            chosen[f"{folder} {ending}"] += size
    folders: dict[str, int] = {}
    for key, size in chosen.items():
        folders.setdefault(key.partition(" ")[0], size)  # the first ending that a folder has
    return sum(folders.values())


def _token() -> str | bool:
    """Return the token that the caller's variables name, or False; never one of an earlier login."""
    return next((os.environ[name] for name in TOKENS if os.environ.get(name)), False)
