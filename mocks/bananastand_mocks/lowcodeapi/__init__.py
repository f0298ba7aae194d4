"""LowCodeAPI, the gateway in front of Banana.dev and fal.ai. Knows no upstream's operations."""
