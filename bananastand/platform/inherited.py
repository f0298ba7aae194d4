"""What builds and replicas see of this process's own environment: nothing that could be a secret of its user."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["inherited"]

PASSED = frozenset(
    ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
    + ("SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
    + ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "TOKENIZERS_PARALLELISM")
)
PREFIXES = ("LC_", "HF_", "XDG_", "NVIDIA_", "OMP_", "GOMP_", "KMP_", "MKL_", "TORCH_", "TRANSFORMERS_") + (
    ("HUGGINGFACE_", "HUGGING_FACE_", "DIFFUSERS_", "DATASETS_", "SENTENCE_TRANSFORMERS_", "MODELSCOPE_")
)
OURS = frozenset(
    f"BANANASTAND_{name}"
    for name in ("MODELS", "MODE", "POLICY", "ROWS", "QUEUE", "DEVICE", "ACCELERATION", "ALLOW_WEBHOOKS", "STAND")
)
SECRET = ("TOKEN", "KEY", "SECRET", "PASSWORD")


def inherited(environment: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """Where things are, the language, proxies, and how torch, the hub and our engine behave; with these prefixes more.

    Whatever else a deploy needs it is given: by `--env`, by `--secret`, or by `bananastand up --pass`.
    """
    return {name: value for name, value in environment.items() if _passes(name, prefixes)}


def _passes(name: str, prefixes: tuple[str, ...]) -> bool:
    if name in PASSED or name in OURS:
        return True
    return name.startswith((*PREFIXES, *prefixes)) and not any(word in name.upper() for word in SECRET)
