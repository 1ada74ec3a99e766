// openai: the default (base64 inside), floats, the list of models, and an unknown model.
import { deepEqual, equal, rejects } from "node:assert/strict";
import OpenAI, { NotFoundError } from "openai";
import { KEY, MODEL, OPENAI_URL, printVectors, texts } from "./connection.js";

const client = new OpenAI({ baseURL: OPENAI_URL, apiKey: KEY });
const vectors = (answer) => answer.data.map((row) => row.embedding);

const models = await client.models.list();
deepEqual(models.data.map((model) => model.id), [MODEL]);
equal((await client.models.retrieve(MODEL)).id, MODEL);
await rejects(client.embeddings.create({ model: "other", input: texts }), NotFoundError);

printVectors({
  default: vectors(await client.embeddings.create({ model: MODEL, input: texts })),
  floats: vectors(
    await client.embeddings.create({ model: MODEL, input: texts, encoding_format: "float" }),
  ),
});
