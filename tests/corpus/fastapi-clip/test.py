import requests

body = {"image_words": "yellow banana", "candidates": ["a banana", "a truck"]}
print(requests.post("http://localhost:8000/", json=body).json())
