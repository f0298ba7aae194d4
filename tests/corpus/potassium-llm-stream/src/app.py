import os
import time

from potassium import Potassium, Request, Response
from tokens import split

app = Potassium(os.environ["MODEL_NAME"])


@app.init
def init():
    return {"vocabulary": {"banana": "fruit", "carrot": "vegetable"}}


@app.handler("/stream")
def stream(context: dict, request: Request) -> Response:
    def generate():
        for token in split(request.json["prompt"]):
            yield (context["vocabulary"].get(token, token) + " ").encode()
            time.sleep(0.02)

    return Response(body=generate(), headers={"Content-Type": "text/plain"})


@app.handler("/")
def whole(context: dict, request: Request) -> Response:
    return Response(json={"tokens": split(request.json["prompt"])})


if __name__ == "__main__":
    app.serve()
