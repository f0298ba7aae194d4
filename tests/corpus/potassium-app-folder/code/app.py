from potassium import Potassium, Request, Response

app = Potassium("segment")


@app.init
def init():
    context = {"threshold": float(open("/root/code/threshold").read())}
    return context


@app.handler()
def segment(context: dict, request: Request) -> Response:
    mask = [int(value > context["threshold"]) for value in request.json["pixels"]]
    return Response(json={"mask": mask}, status=200)


if __name__ == "__main__":
    app.serve(host="0.0.0.0", port=8000)
