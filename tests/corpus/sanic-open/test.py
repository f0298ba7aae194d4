import base64

import requests

out = requests.post("http://localhost:8000/", json={"prompt": "an apple", "width": 96, "height": 64}).json()
open("out.jpg", "wb").write(base64.b64decode(out["image_base64"]))
