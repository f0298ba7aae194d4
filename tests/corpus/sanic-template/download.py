# Runs in the Dockerfile: whatever the model needs is in the image afterwards.
import json


def download_model():
    weights = {"good": 2, "fine": 1, "sweet": 1, "bad": -2, "bitter": -1, "rotten": -3}
    with open("lexicon.json", "w") as file:
        json.dump(weights, file)


if __name__ == "__main__":
    download_model()
