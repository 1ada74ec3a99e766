// Node's own fetch: TensorFlow Serving's API, Text Embeddings Inference's, and compressed
// bodies in both directions.
import { equal } from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { MODEL, OPENAI_URL, URL, printVectors, texts } from "./connection.js";

async function post(address, document, headers = {}) {
  const json = JSON.stringify(document);
  const answer = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: headers["Content-Encoding"] ? gzipSync(json) : json,
  });
  if (!answer.ok) throw new Error(await answer.text());
  return [await answer.json(), answer.headers.get("Content-Encoding")];
}

const [{ predictions }] = await post(`${URL}/v1/models/${MODEL}:predict`, { instances: texts });
const [embeddings] = await post(`${URL}/embed`, { inputs: texts });
// Enough for a response that is worth compressing.
const [{ data }, encoding] = await post(
  `${OPENAI_URL}/embeddings`,
  { model: MODEL, input: Array(8).fill(texts).flat() },
  { "Content-Encoding": "gzip" },
);
equal(encoding, "gzip");
printVectors({
  predict: predictions.map((row) => row.embedding),
  embed: embeddings,
  compressed: data.slice(0, texts.length).map((row) => row.embedding),
});
