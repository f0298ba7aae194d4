import requests

print(requests.post("http://localhost:8000/", json={"values": [1, 1, 1]}).json())
