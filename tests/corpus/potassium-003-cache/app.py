from potassium import Potassium

app = Potassium("my_app")


@app.init
def init():
    labels = open("model.txt").read().split()
    model = {"labels": labels}
    app.optimize(model)
    app.set_cache({"model": model})


@app.handler
def handler(cache: dict, json_in: dict) -> dict:
    labels = cache.get("model")["labels"]
    return {"outputs": labels[json_in["days"] % len(labels)]}


if __name__ == "__main__":
    app.serve()
