"""Follow a picture step by step while a running app paints it."""

import os

from bananastand.clients.potassium import PotassiumApp

with PotassiumApp(os.environ.get("APP_URL", "http://127.0.0.1:8000")) as app:
    for name, data in app.stream({"prompt": "two purple grapes on a white background"}):
        if name == "step":
            print(f"step {data['step']} of {data['steps']}", "with a preview" if "preview" in data else "")
        elif name == "result":
            print(f"done: seed {data['images'][0]['seed']} paints it again")
