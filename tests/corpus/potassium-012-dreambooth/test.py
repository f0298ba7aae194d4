import requests

body = {"instance_name": "line", "examples": [[0, 1], [1, 3], [2, 5]], "steps": 500}
print(requests.post("http://localhost:8000/train", json=body).json())
