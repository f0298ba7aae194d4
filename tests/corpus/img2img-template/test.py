import base64

import requests

picture = base64.b64encode(open("in.png", "rb").read()).decode()
print(requests.post("http://localhost:8000/", json={"init_image": picture, "strength": 0.5}).json().keys())
