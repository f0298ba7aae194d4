"""CUDA graphs: the launches of a forward, recorded once for each shape and replayed as one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from .wrapper import Wrapper

__all__ = ["Graphed"]

MAX_GRAPHS = 8  # each holds the activations of one forward in a pool that all share
WARM_UPS = 3


@dataclass
class _Recorded:
    graph: Any
    inputs: list[torch.Tensor]
    output: torch.Tensor


class Graphed(Wrapper):
    """Replays a recording of the forward with new inputs. Called with return_dict=False, it returns a tuple of one."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self._recorded: OrderedDict[Hashable, _Recorded] = OrderedDict()
        self._pool: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor]:
        """Replay the forward, recorded on the first call of each shape."""
        leaves, shape = pytree.tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        others = tuple(repr(leaf) for leaf in leaves if not isinstance(leaf, torch.Tensor))
        key = (tuple((t.shape, t.dtype, t.stride()) for t in tensors), others, repr(shape))
        recorded = self._recorded.get(key)
        if recorded is None:
            recorded = self._recorded[key] = self._record(leaves, shape)
            while len(self._recorded) > MAX_GRAPHS:
                self._recorded.popitem(last=False)
        self._recorded.move_to_end(key)
        for static, tensor in zip(recorded.inputs, tensors, strict=True):
            static.copy_(tensor, non_blocking=True)
        recorded.graph.replay()
        return (recorded.output.clone(),)  # the next replay writes over it

    def _record(self, leaves: list[Any], shape: Any) -> _Recorded:
        inputs = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        args, kwargs = pytree.tree_unflatten(inputs, shape)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self.inner(*args, **kwargs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # The decoder's thread goes on calling CUDA meanwhile; only this thread is recorded.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            output = self.inner(*args, **kwargs)[0]
        self._pool = self._pool or graph.pool()
        return _Recorded(graph, [leaf for leaf in inputs if isinstance(leaf, torch.Tensor)], output)
