"""Builds images with docker, podman or buildah."""
