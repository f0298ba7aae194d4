"""Clients of what is called over HTTP. Knows httpx2 and pydantic; knows nothing of torch, diffusers or the mocks.

`from bananastand.clients.banana import Banana, AsyncBanana` (Banana.dev's own API)
`from bananastand.clients.bananadev import BananaDev, AsyncBananaDev` (Banana.dev behind LowCodeAPI)
`from bananastand.clients.falai import FalAI, AsyncFalAI` (fal.ai behind LowCodeAPI)
`from bananastand.clients.gobananas import GoBananas, AsyncGoBananas` (Go Bananas!)
`from bananastand.clients.paperbanana import PaperBanana, AsyncPaperBanana` (PaperBanana)
`from bananastand.clients.potassium import PotassiumApp` (a running Potassium app)
"""
