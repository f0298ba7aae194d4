"""Call a running app (make run) as Banana's users did, and save the picture."""

import base64
import os
from pathlib import Path

from bananastand.clients.potassium import PotassiumApp

with PotassiumApp(os.environ.get("APP_URL", "http://127.0.0.1:8000")) as app:
    answer = app.run({"prompt": "a large green apple on a pink background", "seed": 5})

Path("apple.png").write_bytes(base64.b64decode(answer["output"]))
print(f"{answer['model']} painted apple.png in {answer['timings']['total']:.2f} s")
