from potassium import Potassium, Request, Response

app = Potassium("transcriber")
done = []


@app.init
def init():
    return {"suffix": " (transcribed)"}


@app.handler("/")
def transcribe(context: dict, request: Request) -> Response:
    return Response(status=200, json={"text": request.json["sound"] + context["suffix"]})


@app.async_handler("/later")
def later(context: dict, request: Request) -> Response:
    done.append(request.json["sound"] + context["suffix"])
    return Response(status=200, json={})


@app.handler("/done")
def listed(context: dict, request: Request) -> Response:
    return Response(status=200, json={"done": done})


if __name__ == "__main__":
    app.serve()
