"""Clients of what is called over HTTP. Knows httpx2; knows nothing of torch, diffusers or the mocks.

`from bananastand.clients.potassium import PotassiumApp`
"""
