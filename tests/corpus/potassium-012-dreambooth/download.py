import json

json.dump([0.0, 0.0], open("base_weights.json", "w"))
