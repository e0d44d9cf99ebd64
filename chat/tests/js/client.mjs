// Walks /v1/ with the official JavaScript client and prints what it saw as JSON, for test_openai_clients.py.
import OpenAI from "openai";

const { BASE_URL, API_KEY, SPENT_KEY, SLUG, QUESTION } = process.env;
const client = new OpenAI({ baseURL: BASE_URL, apiKey: API_KEY, maxRetries: 0 });
const messages = [{ role: "user", content: QUESTION }];

async function refusal(work) {
  try {
    await work();
  } catch (error) {
    const { status, code, message } = error;
    return { name: error.constructor.name, status, code, message, retry_after: error.headers?.get("retry-after") };
  }
  return null;
}

const seen = {};
seen.models = [];
for await (const model of await client.models.list()) seen.models.push(model.id);
seen.model = (await client.models.retrieve(SLUG)).id;

const whole = await client.chat.completions.create({ model: SLUG, messages });
seen.whole = { text: whole.choices[0].message.content, usage: whole.usage, citations: whole.citations };

const stream = await client.chat.completions.create({
  model: SLUG,
  messages,
  stream: true,
  stream_options: { include_usage: true },
});
seen.stream = { text: "", chunks: 0 };
for await (const chunk of stream) {
  seen.stream.chunks += 1;
  seen.stream.text += chunk.choices[0]?.delta?.content ?? "";
  seen.stream.finish_reason ??= chunk.choices[0]?.finish_reason;
  seen.stream.usage = chunk.usage;
  seen.stream.citations = chunk.citations;
}

seen.left = { chunks: 0 };
const leaving = await client.chat.completions.create({ model: SLUG, messages, stream: true });
for await (const chunk of leaving) {
  seen.left.chunks += 1;
  leaving.controller.abort();
}

const spent = new OpenAI({ baseURL: BASE_URL, apiKey: SPENT_KEY, maxRetries: 0 });
seen.spent = await refusal(() => spent.chat.completions.create({ model: SLUG, messages }));
const stranger = new OpenAI({ baseURL: BASE_URL, apiKey: "cak_wrong", maxRetries: 0 });
seen.bad_key = await refusal(() => stranger.models.list());
seen.no_model = await refusal(() => client.chat.completions.create({ model: "nobody", messages }));
seen.too_long = await refusal(() =>
  client.chat.completions.create({ model: SLUG, messages: [{ role: "user", content: "word ".repeat(20000) }] }),
);
seen.two_choices = await refusal(() => client.chat.completions.create({ model: SLUG, messages, n: 2 }));
console.log(JSON.stringify(seen));
