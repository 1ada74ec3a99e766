// @langchain/openai: documents and queries, sent as texts.
import { OpenAIEmbeddings } from "@langchain/openai";
import { KEY, MODEL, OPENAI_URL, printVectors, texts } from "./connection.js";

const client = new OpenAIEmbeddings({
  model: MODEL,
  apiKey: KEY,
  configuration: { baseURL: OPENAI_URL },
});
printVectors({
  documents: await client.embedDocuments(texts),
  queries: await Promise.all(texts.map((text) => client.embedQuery(text))),
});
