"""fal.ai's Platform API: at its own address (`FalAI`), and as LowCodeAPI finds it (`FalAIUpstream`)."""

from .provider import FalAI
from .upstream import FalAIUpstream

__all__ = ["FalAI", "FalAIUpstream"]
