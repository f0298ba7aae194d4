from typing import Optional

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

app = FastAPI(title="translator")
BOOK = {"banana": "banane", "apple": "pomme", "red": "rouge"}


class Inputs(BaseModel):
    text: str
    upper: Optional[bool] = False


@app.get("/healthcheck")
async def healthcheck():
    return {"state": "healthy", "gpu": False}


@app.post("/")
async def translate(inputs: Inputs):
    words = " ".join(BOOK.get(word, word) for word in inputs.text.split())
    return {"translation": words.upper() if inputs.upper else words}


@app.post("/words")
async def words(inputs: Inputs):
    async def one_by_one():
        for word in inputs.text.split():
            yield BOOK.get(word, word) + "\n"

    return StreamingResponse(one_by_one(), media_type="text/plain")
