// A request as a command of curl and as Python. Knows no page. What is written runs as it stands.

// `base` is the address of the API, with /v1; `keyed` says that the server wants a key.
export function curl(base, body, keyed) {
  const key = keyed ? " \\\n  -H \"authorization: Bearer $UNDICED_API_KEY\"" : "";
  const data = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return `curl ${base}/chat/completions \\\n  -H 'content-type: application/json'${key} \\\n  -d '${data}'\n`;
}

const EXTRA = new Set(["top_k", "min_p", "repetition_penalty"]);

// With the `openai` package; members that it doesn't know go into `extra_body`.
export function python(base, { messages, ...members }, keyed) {
  const rows = messages.map((message) => `        ${literal(message)},`).join("\n");
  const entries = Object.entries(members).filter(([, value]) => value !== undefined);
  const named = entries.filter(([name]) => !EXTRA.has(name)).map(([name, value]) => `    ${name}=${literal(value)},\n`).join("");
  const more = entries.filter(([name]) => EXTRA.has(name));
  const extra = more.length ? `    extra_body=${literal(Object.fromEntries(more))},\n` : "";
  const key = keyed ? "os.environ[\"UNDICED_API_KEY\"]" : "\"none\"";
  return `${keyed ? "import os\n\n" : ""}from openai import OpenAI

client = OpenAI(
    base_url=${literal(base)},
    api_key=${key},
)
answer = client.chat.completions.create(
${named}    messages=[
${rows}
    ],
${extra})
print(answer.choices[0].message.content)
`;
}

// Texts, numbers and plain objects of them are written alike in JSON and Python, but for true, false and null.
function literal(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value !== null && typeof value === "object") {
    return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}
