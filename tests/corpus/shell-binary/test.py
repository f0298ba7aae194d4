import requests

print(requests.post("http://localhost:8000/", json={}).json())
