import requests

print(requests.post("http://localhost:8000/work", json={"id": "a", "n": 7}).json())
