import requests

print(requests.post("http://localhost:8000/", json={"signal": [0, 0, 1, 1]}).json())
