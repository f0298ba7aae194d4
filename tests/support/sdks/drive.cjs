// A user's program: calls three apps with the @banana-dev/banana-dev that is installed, as its README said.
//
// Reads {"version", "key", "apps": {name: {"model_key", "url"}}, "kinds"} from stdin, and prints one line of JSON: the
// answer of each kind of call, or the error as text.
const banana = require("@banana-dev/banana-dev");
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const major = Number(asked.version.split(".")[0]);
const inputs = { prompt: "a ripe banana", größe: 2, nested: { list: [1, null, true] } };
let key = asked.key;

const client = (app) => new banana.Client(key, asked.apps[app].url, "");

async function run(app, route = "/") {
  if (major >= 5) return (await client(app).call(route, inputs)).json;
  return (await banana.run(key, asked.apps[app].model_key, inputs)).modelOutputs[0];
}

async function background() {
  if (major >= 5) {
    const began = (await client("potassium").call("/background", { name: asked.version })).json;
    while (!(await client("potassium").call("/seen", {})).json.seen.includes(asked.version));
    return began;
  }
  const call = await banana.start(key, asked.apps.potassium.model_key, inputs);
  for (;;) {
    const told = await banana.check(key, call);
    if (told.message === "success") return told.modelOutputs[0];
  }
}

async function manage() {
  const api = new banana.API(key);
  if (asked.api) api.baseUrl = asked.api;
  const project = (await api.listProjects()).json.results.find((each) => each.name === "potassium");
  return (await api.updateProject(project.id, { idleTimeout: 31 })).json.idleTimeout;
}

async function feedback() {
  const call = await banana.start(key, asked.apps.template.model_key, inputs);
  return (await banana.feedback(key, call, { liked: true })).message;
}

async function byFetch() {
  const headers = { "x-banana-api-key": key, "content-type": "application/json" };
  const body = JSON.stringify(inputs);
  return (await fetch("https://template.run.banana.dev/", { method: "POST", headers, body })).json();
}

const kinds = {
  potassium: () => run("potassium"),
  background,
  template: () => run("template"),
  "own server": () => run("own", "/generate?size=2"),
  warmup: async () => (await client("potassium").warmup()).json,
  projects: manage,
  feedback,
  fetch: byFetch,
  "wrong key": () => ((key = "wrong"), run("template")),
};

(async () => {
  const answers = {};
  for (const kind of asked.kinds) {
    try {
      answers[kind] = await kinds[kind]();
    } catch (error) {
      answers[kind] = String(error);
    }
  }
  console.log("ANSWERS " + JSON.stringify(answers));
})();
