import json
import os

from potassium import Potassium, Request, Response, send_webhook

app = Potassium("dreambooth")


@app.init
def init():
    context = {"weights": json.load(open("base_weights.json"))}
    return context


@app.background("/train")
def train(context: dict, request: Request) -> Response:
    examples = request.json.get("examples")
    weights = list(context["weights"])
    for step in range(request.json.get("steps", 20)):
        for x, y in examples:
            error = weights[0] * x + weights[1] - y
            weights = [weights[0] - 0.1 * error * x, weights[1] - 0.1 * error]
    os.makedirs("trained", exist_ok=True)
    name = request.json["instance_name"]
    json.dump(weights, open(os.path.join("trained", name + ".json"), "w"))
    if request.json.get("webhook"):
        send_webhook(url=request.json["webhook"], json={"instance_name": name, "state": "trained"})
    return


@app.handler("/")
def infer(context: dict, request: Request) -> Response:
    path = os.path.join("trained", request.json["instance_name"] + ".json")
    if not os.path.exists(path):
        return Response(json={"error": "not trained yet"}, status=404)
    weights = json.load(open(path))
    return Response(json={"y": round(weights[0] * request.json["x"] + weights[1])}, status=200)


if __name__ == "__main__":
    app.serve()
