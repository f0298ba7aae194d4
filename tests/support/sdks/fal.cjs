// Calls fal's queue with @fal-ai/client, as a user would, and prints what came back. The job on standard input may name
// a base: the address of a mock, to which a requestMiddleware leads all calls.
const { createFalClient } = require("@fal-ai/client");

const FLUX = "fal-ai/flux/dev";

function options(base) {
  const hosts = { "https://queue.fal.run": base, "https://fal.run": `${base}/run`, "https://rest.fal.ai": `${base}/rest`,
    "https://rest.alpha.fal.ai": `${base}/rest` };
  const lead = (url) => Object.entries(hosts).reduce((to, [host, place]) => to.replace(host, place), url);
  return { requestMiddleware: async (request) => ({ ...request, url: lead(request.url) }) };
}

async function errorOf(call) {
  try {
    return await call();
  } catch (error) {
    return [error.name, error.status, error.body];
  }
}

async function main({ base }) {
  const client = createFalClient({ credentials: process.env.FAL_KEY, ...(base ? options(base) : {}) });
  const polled = [], streamed = [];
  const input = { prompt: "a cat by the sea", image_size: "square" };
  const onQueueUpdate = (update) => polled.push(update.status);
  const subscribed = await client.subscribe(FLUX, { input, logs: true, pollInterval: 20, onQueueUpdate });
  await client.subscribe(FLUX, {
    input, logs: true, mode: "streaming",
    onQueueUpdate: (update) => streamed.push([update.status, (update.logs || []).length]),
  });
  const outputs = [];
  const stream = await client.stream(FLUX, { input: { prompt: "a pear", num_images: 2 } });
  for await (const output of stream) outputs.push(output.images.length);
  let parts;
  if (!base) {
    const large = new Blob([Buffer.alloc(91 * 1024 * 1024, "pear ")], { type: "text/plain" }); // goes in parts
    const text = await (await fetch(await client.storage.upload(large))).text();
    parts = [text.length, text.slice(-10)];
  }
  const queued = await client.queue.submit(FLUX, { input });
  await client.queue.cancel(FLUX, { requestId: queued.request_id });
  const url = await client.storage.upload(new Blob(["a pear"], { type: "text/plain" }));
  const picture = new Blob(["not looked at"], { type: "image/png" });
  return {
    subscribed: subscribed.data,
    seen: [...new Set(polled)],
    streamed,
    outputs,
    parts,
    file: Buffer.from(await (await fetch(subscribed.data.images[0].url)).arrayBuffer()).subarray(0, 3).toString("hex"),
    run: (await client.run("fal-ai/flux/schnell", { input: { prompt: "a pear", seed: 5 } })).data,
    invalid: await errorOf(() => client.run(FLUX, { input: {} })),
    cancelled: await errorOf(() => client.queue.result(FLUX, { requestId: queued.request_id })),
    upload: await (await fetch(url)).text(),
    image: (await client.subscribe("fal-ai/esrgan", { input: { image_url: picture }, pollInterval: 20 })).data,
  };
}

process.stdin.on("data", (job) => main(JSON.parse(job)).then((found) => console.log(`ANSWERS ${JSON.stringify(found)}`)));
