"""The platform over HTTP: its own API, run URLs, fronts, websockets, git, GitHub's webhook and the forward proxy."""
