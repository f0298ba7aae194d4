"""Selects which of the platform's own environment variables reach builds and replicas: none that could be a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["PROXIES", "addresses", "inherited", "is_loopback", "may_be_secret"]

INHERITED = frozenset(
    ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
    + ("SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
    + ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "TOKENIZERS_PARALLELISM")
)
PREFIXES = ("LC_", "HF_", "XDG_", "NVIDIA_", "OMP_", "GOMP_", "KMP_", "MKL_", "TORCH_", "TRANSFORMERS_") + (
    ("HUGGINGFACE_", "HUGGING_FACE_", "DIFFUSERS_", "DATASETS_", "SENTENCE_TRANSFORMERS_", "MODELSCOPE_")
)
OWN = frozenset(
    f"BANANASTAND_{name}"
    for name in ("MODELS", "MODE", "POLICY", "ROWS", "QUEUE", "DEVICE", "ACCELERATION", "ALLOW_WEBHOOKS", "STAND")
)
HUB = ("HF_", "HUGGINGFACE_", "HUGGING_FACE_", "TRANSFORMERS_", "DIFFUSERS_", "DATASETS_", "SENTENCE_TRANSFORMERS_") + (
    ("MODELSCOPE_",)
)
PROXIES = frozenset(("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"))
LOOPBACK = re.compile(r"(?:\w+://)?(?:[^/@]*@)?(?:localhost|127(?:\.\d+){3}|\[::1\])(?=[:/]|$)", re.IGNORECASE)
SECRET = ("TOKEN", "KEY", "SECRET", "PASSWORD")


def inherited(environment: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """Return the variables for paths, language, proxies, torch, the model hub and our engine.

    A deploy gets further ones by `--env`, `--secret`, or `bananastand up --pass`.

    Args:
        environment: The variables to choose from.
        prefixes: Prefixes of further names; names that could hold a secret stay out all the same.
    """
    return {name: value for name, value in environment.items() if _is_inherited(name, prefixes)}


def addresses(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the inherited variables that make sense in a container too: the hub's addresses and switches, and proxies.

    Paths of this machine's disk are left out.
    """
    return {
        name: value
        for name, value in inherited(environment).items()
        if (name in PROXIES or name.startswith(HUB)) and value and not value.startswith(("/", "~", "."))
    }


def may_be_secret(name: str) -> bool:
    """Return whether a variable of that name may hold a secret.

    >>> may_be_secret("AWS_SECRET_ACCESS_KEY"), may_be_secret("TOKENIZERS_PARALLELISM"), may_be_secret("PATH")
    (True, False, False)
    """
    return name not in INHERITED and any(word in name.upper() for word in SECRET)


def is_loopback(address: str) -> bool:
    """Return whether an address is on loopback, which a container with a network of its own does not reach.

    >>> is_loopback("http://127.0.0.1:8080/hub"), is_loopback("https://mirror.example")
    (True, False)
    """
    return LOOPBACK.match(address) is not None


def _is_inherited(name: str, prefixes: tuple[str, ...]) -> bool:
    if name in INHERITED or name in OWN:
        return True
    return name.startswith((*PREFIXES, *prefixes)) and not may_be_secret(name)
