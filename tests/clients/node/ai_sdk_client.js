// AI SDK with two providers: more texts than one request may have, which it splits.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, embedMany } from "ai";
import { KEY, MODEL, OPENAI_URL, printVectors, texts } from "./connection.js";

const options = { name: "rejoinder", baseURL: OPENAI_URL, apiKey: KEY };
const openai = createOpenAI(options).textEmbeddingModel(MODEL);
const compatible = createOpenAICompatible(options).textEmbeddingModel(MODEL);

const others = Array.from({ length: 2500 }, (_, index) => `text ${index}`);
const values = [...texts, ...others, ...texts];
const many = (await embedMany({ model: openai, values })).embeddings;
const alike = (await embedMany({ model: compatible, values })).embeddings;
const alone = await Promise.all(texts.map((value) => embed({ model: compatible, value })));

printVectors({
  firstOfMany: many.slice(0, texts.length),
  lastOfMany: many.slice(-texts.length),
  lastOfCompatible: alike.slice(-texts.length),
  oneByOne: alone.map((answer) => answer.embedding),
});
