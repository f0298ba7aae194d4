import json
import urllib.request

request = urllib.request.Request("http://localhost:8000/", json.dumps({"prompt": "lemon"}).encode(), {"Content-Type": "application/json"})
print(urllib.request.urlopen(request).read())
