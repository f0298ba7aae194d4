import requests

body = {"prompt": "a banana", "height": 64, "width": 64, "num_inference_steps": 2}
print(requests.post("http://localhost:8000/", json=body).json().keys())
