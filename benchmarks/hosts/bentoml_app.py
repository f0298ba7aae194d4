"""The noop handler on BentoML."""

import bentoml


@bentoml.service(workers=1)
class Noop:
    @bentoml.api(route="/")
    def noop(self, prompt: str) -> dict[str, str]:
        return {"output": prompt}
