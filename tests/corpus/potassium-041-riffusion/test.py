import requests

for piece in requests.post("http://localhost:8000/", json={"beats": 4}, stream=True).iter_content(None):
    print(len(piece))
