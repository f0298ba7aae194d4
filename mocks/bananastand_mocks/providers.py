"""The providers by name. Imports one only when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bananadev.runtime import RuntimeFactory
    from .kernel.provider import Provider
    from .paperbanana.vlm import Vlm

__all__ = ["NAMES", "build"]

NAMES = ("bananadev", "falai", "banana-native", "fal-native", "fal-queue", "gobananas", "paperbanana")


def build(
    names: Sequence[str] = NAMES,
    *,
    runtime: RuntimeFactory | None = None,
    webhooks: Iterable[str] = (),
    images: str | None = None,
    vlm: Vlm | None = None,
) -> list[Provider]:
    """Build the providers of these names.

    Args:
        names: Some of NAMES.
        runtime: Makes the runtime of Banana.dev's models for a world; None for the one that draws.
        webhooks: Addresses that may be posted to beside those of this machine.
        images: Address of a Potassium app that paints the images of Go Bananas!; None to draw them.
        vlm: Answers what PaperBanana's figures show; None to read it from the text.

    Raises:
        ValueError: A name is unknown.
    """
    return [_build_one(name, runtime, webhooks, images, vlm) for name in names]


def _build_one(
    name: str, runtime: RuntimeFactory | None, webhooks: Iterable[str], images: str | None, vlm: Vlm | None
) -> Provider:
    match name:
        case "bananadev":
            from .bananadev import BananaDevUpstream
            from .lowcodeapi.gateway import Gateway

            return Gateway(BananaDevUpstream(runtime) if runtime is not None else BananaDevUpstream())
        case "falai":
            from .falai import FalAIUpstream
            from .lowcodeapi.gateway import Gateway

            return Gateway(FalAIUpstream())
        case "banana-native":
            from .bananadev import BananaDev

            return BananaDev(runtime) if runtime is not None else BananaDev()
        case "fal-native":
            from .falai import FalAIProvider

            return FalAIProvider()
        case "fal-queue":
            from .falqueue import FalQueueProvider

            return FalQueueProvider(webhooks=webhooks)
        case "gobananas":
            from .gobananas import GoBananasProvider

            if images is None:
                return GoBananasProvider()
            from .gobananas.app_pictures import AppPictures

            return GoBananasProvider(AppPictures(images))
        case "paperbanana":
            from .paperbanana import PaperBananaProvider

            return PaperBananaProvider(webhooks=webhooks, vlm=vlm)
        case _:
            raise ValueError(f"there is no provider {name}; there are {', '.join(NAMES)}")
