from potassium import Potassium

app = Potassium("my_app")


@app.init
def init():
    table = {"a": "apple", "b": "banana"}
    app.optimize(table)
    app.set_cache({"model": table})


@app.handler
def handler(cache: dict, json_in: dict) -> dict:
    return {"outputs": cache["model"].get(json_in["letter"], "unknown")}


if __name__ == "__main__":
    app.serve()
