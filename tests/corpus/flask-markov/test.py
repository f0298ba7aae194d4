import requests

print(requests.post("http://localhost:8000/", json={"prompt": "the", "max_words": 4}).json())
