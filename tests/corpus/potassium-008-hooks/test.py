import requests

print(requests.post("http://localhost:8000/", json={"question": "which colour is the sky"}).json())
