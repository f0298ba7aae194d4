import requests

print(requests.post("http://localhost:8000/", json={"prompt": "a banana", "max_new_tokens": 4}).json())
