import base64

import requests

sound = base64.b64encode(open("input.wav", "rb").read()).decode("ISO-8859-1")
print(requests.post("http://localhost:8000/", json={"base64String": sound}).json())
