import requests

body = {"colour": [250, 220, 20], "candidates": ["a banana", "an apple", "a dog"]}
print(requests.post("http://localhost:8000/", json=body).json())
