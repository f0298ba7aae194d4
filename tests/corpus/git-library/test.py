import requests

print(requests.post("http://localhost:8000/", json={"days": 3}).json())
