import requests

print(requests.post("http://localhost:8000/stream", json={"prompt": "a banana"}).text)
