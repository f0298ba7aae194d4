import asyncio
import json

import requests
import websockets

print(requests.post("http://localhost:8000/", json={"prompt": "bake a"}).json())


async def talk():
    async with websockets.connect("ws://localhost:8000/chat", subprotocols=["tokens.v1"]) as socket:
        await socket.send(json.dumps({"prompt": "bye a"}))
        async for message in socket:
            print(json.loads(message))


asyncio.run(talk())
