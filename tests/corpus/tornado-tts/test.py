import requests

open("out.wav", "wb").write(requests.post("http://localhost:8000/", json={"text": "hello"}).content)
