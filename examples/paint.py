"""Paint three pictures with the embedded model and watch the steps."""

from bananastand.diffusion import Engine, GenerationRequest, Step

engine = Engine.load("fruitstand")
request = GenerationRequest.parse(
    {"prompt": "three small yellow pears at the top on a blue background", "num_images": 3, "seed": 4}, engine.model
)


def on_step(step: Step) -> None:
    print(f"picture {step.index}: step {step.done} of {step.steps}")


for picture in engine.paint(request, on_step).pictures:
    picture.image.save(f"pears-{picture.seed}.png")
