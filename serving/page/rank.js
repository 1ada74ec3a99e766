// Ranks replies by the cosine similarity of their embeddings with the context's.

import { copy, curlCommand } from "./command.js";
import { dot, similarityMatrix } from "./matrix.js";
import { rankingRows } from "./ranking.js";
import { ask, serverIsBack } from "./requests.js";

const byId = (id) => document.getElementById(id);

function showStatus(message, isError = false) {
  byId("status").textContent = message;
  byId("status").className = isError ? "error" : "";
}

const key = () => byId("key").value.trim();

async function listModels() {
  const models = (await ask("/v1/models", { key: key() })).data;
  byId("model").replaceChildren(...models.map((model) => new Option(model.id, model.id)));
}

async function listIndexes() {
  const indexes = (await ask("/indexes", { key: key() })).indexes;
  byId("corpora").hidden = !indexes.length;
  byId("corpus").replaceChildren(new Option("the list below", ""), ...indexes.map((index) =>
    new Option(`${index.name} (${index.texts.toLocaleString("en")} texts)`, index.name)));
}

const listAll = () => listModels().then(listIndexes);

// A problem with what is written in a field, which then gets the focus.
class FieldProblem extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

function readContext() {
  const context = byId("context").value.trim();
  if (!context) throw new FieldProblem("context", "The context is blank: write a text to answer.");
  return context;
}

// Returns the typed replies, or the texts of an index nearest to the context.
async function candidates(context) {
  const index = byId("corpus").value;
  if (index) {
    const body = { index, input: context, k: 10, model: byId("model").value };
    return (await ask("/search", { body, key: key() })).answers.map((answer) => answer.text);
  }
  const replies = byId("replies").value.split("\n").map((line) => line.trim()).filter(Boolean);
  if (!replies.length) throw new FieldProblem("replies", "Write at least one reply.");
  return replies;
}

async function rank() {
  const context = readContext();
  if (!byId("model").value) await listAll();
  const start = performance.now();
  const replies = await candidates(context);
  const texts = [context, ...replies];
  const path = `/v1/models/${encodeURIComponent(byId("model").value)}:predict`;
  const body = { inputs: texts };
  const outputs = (await ask(path, { body, key: key() })).outputs;
  const milliseconds = performance.now() - start;
  showResults(replies, outputs);
  byId("command").textContent = curlCommand(path, { body, keyNeeded: key() !== "" });
  const tokens = outputs.num_tokens.reduce((sum, count) => sum + count, 0);
  showStatus(`${texts.length} texts, ${tokens} tokens (context: ${outputs.num_tokens[0]}), ` +
    `${milliseconds.toFixed(0)} ms round trip.`);
}

function showResults(replies, outputs) {
  const context = outputs.embedding[0];
  const ranked = replies.map((text, index) => ({
    text,
    embedding: outputs.embedding[index + 1],
    similarity: dot(context, outputs.embedding[index + 1]),
    tokens: outputs.num_tokens[index + 1],
    truncated: outputs.truncated[index + 1],
  })).sort((a, b) => b.similarity - a.similarity);
  byId("ranking").replaceChildren(...rankingRows(ranked));
  const embeddings = [context, ...ranked.map((reply) => reply.embedding)];
  byId("picture").replaceChildren(similarityMatrix(embeddings));
  byId("context-note").hidden = !outputs.truncated[0];
  byId("context-note").textContent =
    `The context is truncated: the model read its first ${outputs.num_tokens[0]} tokens.`;
  byId("copied").textContent = key() ? "Set REJOINDER_API_KEY to the key first." : "";
  byId("results").hidden = false;
  byId("results").classList.remove("stale");
}

// The button is never disabled, because it would lose the keyboard's focus.
let running = false;

async function submit() {
  if (running) return;
  running = true;
  const stopProgress = showProgress();
  for (const field of ["context", "replies", "key"]) byId(field).removeAttribute("aria-invalid");
  try {
    await rank();
  } catch (error) {
    showProblem(error);
  } finally {
    stopProgress();
    running = false;
  }
}

function showProgress() {
  const start = performance.now();
  const show = () => {
    const seconds = Math.floor((performance.now() - start) / 1000);
    showStatus(seconds ? `Encoding… ${seconds} s` : "Encoding…");
  };
  show();
  const timer = setInterval(show, 1000);
  byId("progress").hidden = false;
  byId("submit").setAttribute("aria-disabled", "true");
  return () => {
    clearInterval(timer);
    byId("progress").hidden = true;
    byId("submit").removeAttribute("aria-disabled");
  };
}

function showProblem(error) {
  byId("results").classList.add("stale");
  const older = byId("results").hidden ? "" : " The results below are of an earlier request.";
  showStatus(error.message + older, true);
  const field = error.field ?? (error.keyNeeded ? "key" : undefined);
  if (field) {
    byId(field).setAttribute("aria-invalid", "true");
    byId(field).focus();
  }
  if (error.gone) {
    const shown = byId("status").textContent;
    serverIsBack().then(() => {
      if (byId("status").textContent === shown) showStatus("The server responds again.");
    });
  }
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
byId("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    submit();
  }
});
byId("context").addEventListener("input", () => { byId("context-note").hidden = true; });
byId("corpus").addEventListener("change", () => {
  byId("typed").hidden = byId("corpus").value !== "";
});
byId("copy").addEventListener("click", () => copy(byId("command"), byId("copied")));
listAll().catch((error) => showStatus(error.message, true));
