import requests

print(requests.post("http://localhost:8000/", json={"prompt": "bananas are", "max_length": 7}).json())
