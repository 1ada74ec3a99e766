// cohere-ai: version 2 of its API, with floats, int8 and packed bits.
import { deepEqual, equal } from "node:assert/strict";
import { CohereClientV2 } from "cohere-ai";
import { KEY, MODEL, URL, printVectors, texts } from "./connection.js";

const client = new CohereClientV2({ token: KEY, environment: URL });
const { embeddings } = await client.embed({
  model: MODEL,
  texts,
  inputType: "search_query",
  embeddingTypes: ["float", "int8", "ubinary"],
});
equal(embeddings.int8.length, texts.length);
embeddings.float.forEach((vector, index) => {
  const bits = embeddings.ubinary[index].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  deepEqual(bits, vector.map((value) => (value > 0 ? "1" : "0")).join(""));
});
printVectors({ floats: embeddings.float });
