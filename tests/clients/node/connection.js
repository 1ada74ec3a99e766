// What the scripts of this folder share: the server's addresses, the texts, and the answer.
//
// Each script is run by tests/clients/test_node_clients.py. It embeds the texts of its standard
// input with one client library and prints a JSON object: the vectors, [texts, dimensions], of
// each way to use the library.
import { readFileSync } from "node:fs";

export const URL = process.env.REJOINDER_URL;
export const OPENAI_URL = `${URL}/v1`;
export const MODEL = process.env.REJOINDER_MODEL;
// Most libraries ask for a key; a server without keys ignores it.
export const KEY = process.env.REJOINDER_KEY || "none";
export const texts = JSON.parse(readFileSync(0, "utf8"));

export function printVectors(uses) {
  console.log(JSON.stringify(uses));
}
