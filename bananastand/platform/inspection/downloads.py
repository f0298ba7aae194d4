"""Which weights a repository downloads: hub names and addresses in code, Dockerfile and shell scripts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from .findings import Weight
from .repository import RunLine, SourceRepository
from .source_modules import SourceModule, called_name, dotted_name

__all__ = ["downloads"]

Source = Literal["hub", "url", "whisper", "torch.hub", "git"]
NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
# Names without an owner are of the hub's first years; any other is a folder.
FIRST_YEARS = re.compile(
    r"(albert|bert|camembert|ctrl|distil\w+|gpt2|openai-gpt|roberta|t5|transfo-xl|xlm|xlnet)(-[\w.-]+)?"
)
WEIGHTS = re.compile(
    r"\.(bin|ckpt|gguf|ggml|h5|msgpack|onnx|pkl|pt|pth|safetensors|tar|tar\.gz|tgz|zip|caffemodel|tflite)(\?|$)"
)
ADDRESS = re.compile(r"https?://[^\s'\"|;&<>()\\]+")
HUB_FILE = re.compile(
    r"https?://(?:huggingface\.co|hf\.co)/(?P<name>[\w.-]+/[\w.-]+?)(?:\.git)?(?:/(?:resolve|raw|blob)/(?P<rev>[^/]+)/.*)?/?$"
)
FROM = frozenset({"from_pretrained", "from_quantized", "from_single_file", "from_ckpt", "load_lora_weights",
                  "load_textual_inversion", "load_ip_adapter", "from_hub", "from_hparams",
                  "PretrainedSpeakerEmbedding"})  # fmt: skip
HUB = frozenset({"snapshot_download", "hf_hub_download", "hf_hub_url", "cached_download", "load_dataset"})
URLS = frozenset({"urlretrieve", "urlopen", "download_url_to_file", "load_state_dict_from_url", "load_file_from_url",
                  "load_url", "cached_download", "download", "get", "wget"})  # fmt: skip
SHELLS = frozenset({"system", "run", "call", "check_call", "check_output", "Popen", "getoutput"})
KEYS = ("pretrained_model_name_or_path", "repo_id", "model", "model_name_or_path", "model_id", "url", "name", "source")
TOKENS = ("use_auth_token", "token")
LOCAL = re.compile(r"^(\.|/|~)|\\")


@dataclass(frozen=True, slots=True)
class _Download:
    source: Source
    name: str
    revision: str | None


@dataclass(frozen=True, slots=True)
class _Call:
    module: SourceModule
    node: ast.Call
    name: str


def downloads(repository: SourceRepository) -> list[Weight]:
    """Return every download that can be read, by name, with all places that ask for it."""
    built = {module.path for module in repository.built}
    found: dict[tuple[str, str], Weight] = {}
    for weight in (*_in_code(repository, built), *_in_shell(repository)):
        key = (weight.source, weight.name)
        known = found.get(key)
        if known is None:
            found[key] = weight
            continue
        during = "build" if "build" in (known.during, weight.during) else known.during
        where = tuple(dict.fromkeys((*known.where, *weight.where)))
        revision, token = known.revision or weight.revision, known.token or weight.token
        found[key] = replace(known, where=where, during=during, revision=revision, token=token)
    return list(found.values())


def _in_code(repository: SourceRepository, built: set[str]) -> Iterator[Weight]:
    saved = _saved(repository)
    for module in repository.code.modules.values():
        during = "build" if module.path in built else "start or call"
        for node in module.calls:
            for download in _downloads_of(repository, _Call(module, node, called_name(node))):
                if download.source != "hub" or (download.name not in saved and _is_of_hub(repository, download.name)):
                    yield _weight(download, module.where(node), during, _sends_token(node))


def _downloads_of(repository: SourceRepository, call: _Call) -> Iterator[_Download]:
    """Yield source, name and revision of each download of a call."""
    code, node, name = repository.code, call.node, call.name
    first = node.args[0] if node.args else next((keyword.value for key in KEYS for keyword in node.keywords
                                                if keyword.arg == key), None)  # fmt: skip
    revisions = code.texts(call.module, _keyword(node, "revision"))
    revision = revisions[0] if revisions else None
    path = dotted_name(node.func)
    if name in FROM or name in HUB:
        for text in code.texts(call.module, first):
            hub = HUB_FILE.match(text)
            if hub is not None:
                yield _Download("hub", hub["name"], hub["rev"])
            else:
                yield _Download("url" if "://" in text else "hub", text, revision)
    elif name == "pipeline" and _from(call.module, path, "transformers"):
        model = _keyword(node, "model") or (node.args[1] if len(node.args) > 1 else None)
        yield from (_Download("hub", text, revision) for text in code.texts(call.module, model))
    elif name in ("SentenceTransformer", "CrossEncoder"):
        for text in code.texts(call.module, first):
            yield _Download("hub", text if "/" in text else f"sentence-transformers/{text}", revision)
    elif name == "load_model" and _from(call.module, path, "whisper", "whisperx", "stable_whisper"):
        yield from (_Download("whisper", text, None) for text in code.texts(call.module, first))
    elif name == "WhisperModel" and _from(call.module, path, "faster_whisper"):
        for text in code.texts(call.module, first):
            yield _Download("hub", text if "/" in text else f"Systran/faster-whisper-{text}", revision)
    elif path.endswith("hub.load") and "torch" in call.module.imported:
        yield from (_Download("torch.hub", text, None) for text in code.texts(call.module, first) if NAME.match(text))
    elif name in SHELLS:
        words = first.elts if isinstance(first, ast.List | ast.Tuple) else [first] if first is not None else []
        texts = [text for word in words for text in code.texts(call.module, word)]
        yield from _in_line(" ".join(texts))
    elif name in URLS:
        yield from (_Download("url", text, None) for text in code.texts(call.module, first)
                    if text.startswith("http") and (WEIGHTS.search(text) or "drive.google.com" in text))  # fmt: skip


def _in_shell(repository: SourceRepository) -> Iterator[Weight]:
    scripts = [RunLine(line, f"{name}:{number}") for name, text in repository.others if name.endswith(".sh")
               for number, line in enumerate(text.splitlines(), 1)]  # fmt: skip
    texts = " ".join(run.text for run in repository.runs)
    for run in (*repository.runs, *scripts):
        name = run.where.partition(":")[0]
        during = "build" if name == "Dockerfile" or name.rpartition("/")[2] in texts else "start or call"
        for download in _in_line(run.text):
            yield _weight(download, run.where, during, False)
        for code in re.findall(r"python3?\s+-c\s+(\"[^\"]*\"|'[^']*')", run.text):
            try:
                module = SourceModule(run.where, code[1:-1])
            except (SyntaxError, ValueError):
                continue
            for node in module.calls:
                for download in _downloads_of(repository, _Call(module, node, called_name(node))):
                    if download.source != "hub" or _is_of_hub(repository, download.name):
                        yield _weight(download, run.where, during, _sends_token(node))


def _in_line(line: str) -> Iterator[_Download]:
    """Yield the downloads of a shell line."""
    if re.search(r"\b(wget|curl|aria2c|axel|gdown|git|huggingface-cli|hf|ADD)\b", line) is None:
        return
    for cli in re.finditer(
        r"\b(?:huggingface-cli|hf)\s+download\s+(?:--[\w-]+(?:[= ]\S+)?\s+)*([\w.-]+/[\w.-]+)", line
    ):
        yield _Download("hub", cli[1], None)
    for address in ADDRESS.findall(line):
        hub = HUB_FILE.match(address)
        if hub is not None and hub["name"].partition("/")[0] not in ("docs", "spaces", "datasets", "api"):
            yield _Download("hub", hub["name"], hub["rev"])
        elif re.search(rf"git\s+(?:lfs\s+)?clone\b.*{re.escape(address)}", line):
            yield _Download("git", address, None)
        elif WEIGHTS.search(address) and not re.search(r"\.(deb|whl|sh|gpg)$|miniconda|\.whl", address):
            yield _Download("url", address, None)


def _weight(download: _Download, where: str, during: Literal["build", "start or call"], token: bool) -> Weight:
    """Return the download as a finding; an @ in a name separates the revision."""
    name, _, behind = download.name.partition("@") if download.source == "hub" else (download.name, "", "")
    return Weight(name, download.source, (where,), during, revision=download.revision or behind or None, token=token)


def _saved(repository: SourceRepository) -> set[str]:
    """Return folders that the code itself saves to, whose names look like a model's."""
    found = set[str]()
    for module in repository.code.modules.values():
        for node in module.calls:
            if called_name(node) in ("save_pretrained", "save", "mkdir", "makedirs"):
                for argument in node.args[:2]:
                    found |= set(repository.code.texts(module, argument))
    return found


def _is_of_hub(repository: SourceRepository, name: str) -> bool:
    plain = name.partition("@")[0]
    if LOCAL.search(plain) or repository.has(plain) or "://" in plain:
        return False
    return NAME.fullmatch(plain) is not None or FIRST_YEARS.fullmatch(plain) is not None


def _sends_token(node: ast.Call) -> bool:
    return any(
        keyword.arg in TOKENS and not (isinstance(keyword.value, ast.Constant) and not keyword.value.value)
        for keyword in node.keywords
    )


def _keyword(node: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in node.keywords if keyword.arg == name), None)


def _from(module: SourceModule, path: str, *packages: str) -> bool:
    """Whether a called name comes from one of these packages."""
    origin, _ = module.imports.get(path.partition(".")[0], ("", None))
    return origin.partition(".")[0] in packages
