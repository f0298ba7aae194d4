"""A user's program: calls three apps with the banana_dev that is installed, as its README said. Knows nothing of us.

Reads {"version", "key", "apps": {name: {"model_key", "url"}}, "kinds"} from stdin, and prints one line of JSON: the
answer of each kind of call, or the error as text.
"""

import json
import sys
import time

request = json.load(sys.stdin)
VERSION, KEY, APPS = tuple(map(int, request["version"].split("."))), request["key"], request["apps"]
INPUTS = {"prompt": "a ripe banana", "größe": 2, "nested": {"list": [1, None, True]}}

if VERSION < (0, 0, 2):
    import booste as banana  # what the first upload has beside its empty banana_dev
else:
    import banana_dev as banana


def client(app: str) -> "banana.Client":
    if VERSION < (6, 0, 0):
        return banana.Client(KEY, APPS[app]["model_key"], APPS[app]["url"], False)
    return banana.Client(KEY, url=APPS[app]["url"], verbosity="")


def run(app: str, route: str = "/") -> object:
    if VERSION >= (5, 0, 0):
        return client(app).call(route, INPUTS)[0]
    output = banana.run(KEY, APPS[app]["model_key"], INPUTS)
    return output["modelOutputs"][0] if "modelOutputs" in output else output


def background() -> object:
    """A background handler and what it did, or where there were none a call that is started and checked."""
    if VERSION >= (5, 0, 0):
        began = client("potassium").call("/background", {"name": request["version"]})[0]
        until = time.monotonic() + 60
        while request["version"] not in (seen := client("potassium").call("/seen", {})[0]["seen"]):
            assert time.monotonic() < until, seen
            time.sleep(0.05)
        return began
    call = banana.start(KEY, APPS["potassium"]["model_key"], INPUTS)
    while True:
        checked = banana.check(KEY, call)
        if checked.get("data", {}).get("taskStatus") == "Done":
            return checked["data"]["taskOut"]
        if checked["message"] == "success" and "modelOutputs" in checked:
            return checked["modelOutputs"][0]


def manage() -> object:
    api = banana.API(KEY)
    if "api" in request:
        api.base_url = request["api"]
    old = VERSION < (6, 3, 0)
    listed, change = (api.listProjects, api.updateProject) if old else (api.list_projects, api.update_project)
    (project,) = [project for project in listed()[0]["results"] if project["name"] == "potassium"]
    return change(project["id"], {"idleTimeout": 31})[0]["idleTimeout"]


def wrong_key() -> object:
    global KEY
    KEY = "wrong"
    return run("template")


KINDS = {
    "potassium": lambda: run("potassium"),
    "background": background,
    "template": lambda: run("template"),
    "own server": lambda: run("own", "/generate?size=2"),
    "warmup": lambda: client("potassium").warmup()[0],
    "projects": manage,
    "wrong key": wrong_key,
}

answers = {}
for kind in request["kinds"]:
    try:
        answers[kind] = KINDS[kind]()
    except Exception as error:
        answers[kind] = f"{type(error).__name__}: {error}"
sys.stdout.write("ANSWERS " + json.dumps(answers) + "\n")
