import asyncio

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel

FOLLOWS = {"a": "ripe", "ripe": "banana", "banana": "bread", "bread": "."}

app = FastAPI()


class Prompt(BaseModel):
    prompt: str
    max_new_tokens: int = 8


def generate(prompt, most):
    word = prompt.split()[-1]
    for _ in range(most):
        word = FOLLOWS.get(word, ".")
        yield word
        if word == ".":
            return


@app.get("/healthcheck")
async def healthcheck():
    return {"state": "healthy"}


@app.post("/")
async def complete(inputs: Prompt):
    return {"text": " ".join(generate(inputs.prompt, inputs.max_new_tokens))}


@app.websocket("/chat")
async def chat(socket: WebSocket, token: str = ""):
    if token == "expired":
        await socket.close(code=4401)
        return
    await socket.accept(subprotocol="tokens.v1" if "tokens.v1" in socket.scope["subprotocols"] else None)
    turns = 0
    try:
        while True:
            inputs = Prompt(**await socket.receive_json())
            turns += 1
            for word in generate(inputs.prompt, inputs.max_new_tokens):
                await socket.send_json({"token": word, "turn": turns})
                await asyncio.sleep(0.01)
            await socket.send_json({"done": True, "turn": turns})
            if inputs.prompt.startswith("bye"):
                await socket.close(code=4000, reason="said bye")
                return
    except WebSocketDisconnect:
        print("the listener is gone after", turns, "turns")


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=8000)
