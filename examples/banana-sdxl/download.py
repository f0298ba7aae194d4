"""Runs while the image is built: the weights are then part of it."""

import os

from diffusers import DiffusionPipeline

MODEL = os.environ.get("MODEL", "stabilityai/stable-diffusion-xl-base-1.0")

if __name__ == "__main__":
    DiffusionPipeline.from_pretrained(MODEL)
