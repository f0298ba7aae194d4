"""Answers in place of the owners of host names: an authority of this machine, TLS, and a forward proxy.

The platform and the mocks both use it. Depends on `asgi` alone.
"""
