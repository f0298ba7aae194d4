"""Exports a project to other systems: Knative, KubeRay and Compose. Knows no HTTP and starts nothing."""
