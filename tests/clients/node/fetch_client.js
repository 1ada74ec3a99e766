// Node's own fetch: TensorFlow Serving's API, Text Embeddings Inference's, and a compressed body.
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
  return answer.json();
}

const predict = await post(`${URL}/v1/models/${MODEL}:predict`, { instances: texts });
const compressed = await post(
  `${OPENAI_URL}/embeddings`,
  { model: MODEL, input: texts },
  { "Content-Encoding": "gzip" },
);
printVectors({
  predict: predict.predictions.map((row) => row.embedding),
  embed: await post(`${URL}/embed`, { inputs: texts }),
  compressed: compressed.data.map((row) => row.embedding),
});
