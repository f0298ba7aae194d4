import requests

body = {"modelInputs": {"prompt": "banana", "width": 64}, "callInputs": {"PIPELINE": "StableDiffusionPipeline"}}
print(requests.post("http://localhost:8000/", json=body).json())
