// The same mocks from Node, over plain HTTP: no package of ours.
import assert from "node:assert/strict";
import test from "node:test";

const { PAPERBANANA_URL: url, PAPERBANANA_KEY: key } = process.env;
const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };

test("a plot is drawn", async () => {
  const body = JSON.stringify({ data_json: "[1, 3, 2]", intent: "a line", output_formats: ["png", "svg"] });
  const submitted = await fetch(`${url}/api/plot`, { method: "POST", headers, body });
  assert.equal(submitted.status, 202);
  let { task_id: id, status } = await submitted.json();
  while (status === "pending" || status === "running") {
    ({ status } = await (await fetch(`${url}/api/tasks/${id}`, { headers })).json());
  }
  assert.equal(status, "completed");
  const image = await fetch(`${url}/api/tasks/${id}/image?format=svg`, { headers });
  assert.match(await image.text(), /<svg/);
});

test("a wrong key is refused in the provider's words", async () => {
  const answer = await fetch(`${url}/api/tasks/none`, { headers: { Authorization: "Bearer pb_nobody" } });
  assert.equal(answer.status, 401);
  assert.deepEqual(await answer.json(), { detail: "Invalid API key" });
});
