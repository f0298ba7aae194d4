import json

from potassium import Potassium, Request, Response, send_webhook

app = Potassium("question_answering")
state = {"sent": 0}


@app.init
def init():
    return {"answers": json.load(open("answers.json"))}


@app.handler("/")
def answer(context: dict, request: Request) -> Response:
    question = request.json.get("question", "")
    found = [colour for thing, colour in context["answers"].items() if thing in question]
    return Response(status=200, json={"outputs": found})


@app.async_handler(route="/batch")
def batch(context: dict, request: Request) -> Response:
    outputs = {"things": sorted(context["answers"])}
    if "webhook" in request.json:
        send_webhook(url=request.json["webhook"], json=outputs)
    state["sent"] += 1
    return Response(status=200, json=outputs)


@app.handler("/sent")
def sent(context: dict, request: Request) -> Response:
    return Response(status=200, json=state)


if __name__ == "__main__":
    app.serve()
