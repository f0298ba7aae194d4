import json
import urllib.request

request = urllib.request.Request("http://localhost:8000/", json.dumps({"mp3BytesString": "YmFuYW5h"}).encode(), {"Content-Type": "application/json"})
print(urllib.request.urlopen(request).read())
