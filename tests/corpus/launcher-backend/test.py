import requests

body = {"endpoint": "txt2img", "params": {"prompt": "banana"}}
print(requests.post("http://localhost:8000/", json=body).json())
