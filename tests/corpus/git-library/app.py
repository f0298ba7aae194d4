import sys

sys.path.append("library")
from ripeness import ripeness


def init():
    pass


def inference(model_inputs):
    return {"ripeness": ripeness(model_inputs["days"])}
