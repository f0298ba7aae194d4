"""fal.ai's Platform API: at its own address (`FalAIProvider`), and as LowCodeAPI finds it (`FalAIUpstream`)."""

from .provider import FalAIProvider
from .upstream import FalAIUpstream

__all__ = ["FalAIProvider", "FalAIUpstream"]
