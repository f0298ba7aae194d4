from models.counter import Counter
from models.shout import Shout
from potassium import Potassium, Request, Response

app = Potassium("several_models")


@app.init
def init():
    return {"counter": Counter(), "shout": Shout()}


@app.handler("/count")
def count(context: dict, request: Request) -> Response:
    return Response(json={"letters": context["counter"](request.json["text"])}, status=200)


@app.handler("shout")
def shout(context: dict, request: Request) -> Response:
    return Response(json={"text": context["shout"](request.json["text"])}, status=200)


@app.handler("/created")
def created(context: dict, request: Request) -> Response:
    return Response(json={"created": True}, status=201)


if __name__ == "__main__":
    app.serve()
