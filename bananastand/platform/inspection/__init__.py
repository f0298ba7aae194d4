"""Says what a repository is and needs before it is built: reads its files, and runs none of them."""

from __future__ import annotations

from .findings import Inspection, InspectionDifference
from .fixes import Fix, fixes, patch, write
from .inspect import inspect_source
from .summary import summary

__all__ = ["InspectionDifference", "Fix", "Inspection", "fixes", "inspect_source", "patch", "summary", "write"]
