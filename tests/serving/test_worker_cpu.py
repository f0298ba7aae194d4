"""`bananastand deploy --cpu`: an app that names a GPU runs where torch sees none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import torch
from bananastand.worker.cpu_only import redirect_cuda_to_cpu
redirect_cuda_to_cpu(torch)
model = torch.nn.Linear(2, 2).cuda().to("cuda:0")
numbers = torch.zeros(1, 2, device="cuda").cuda().to(torch.device("cuda"))
generator = torch.Generator("cuda").manual_seed(3)
print(model(numbers).device, torch.randn(2, generator=generator, device="cuda").device)
"""


def test_cuda_means_the_cpu_in_torch_where_it_is_asked_for() -> None:
    """In a process of its own: torch is changed. Without the change the first line that names CUDA raises."""
    environment = {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout == "cpu cpu\n", done.stderr
