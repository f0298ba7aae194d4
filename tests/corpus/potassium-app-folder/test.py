import requests

print(requests.post("http://localhost:8000/", json={"pixels": [0.1, 0.9]}).json())
