"use strict";
// Ranks replies by the cosine similarity of their embeddings with the context's.

const byId = (id) => document.getElementById(id);
const MAX_PICTURE = 40;

function showStatus(message, isError = false) {
  byId("status").textContent = message;
  byId("status").className = isError ? "error" : "";
}

function headers() {
  const key = byId("key").value.trim();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function request(path, body) {
  const options = { headers: { ...headers(), "Content-Type": "application/json" } };
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  const response = await fetch(path, options);
  const document = await response.json();
  if (response.ok) return document;
  const error = document.error;
  throw new Error(typeof error === "string" ? error : error.message);
}

async function listModels() {
  const models = (await request("/v1/models")).data;
  byId("model").replaceChildren(...models.map((model) => new Option(model.id, model.id)));
}

async function listIndexes() {
  const indexes = (await request("/indexes")).indexes;
  byId("corpora").hidden = !indexes.length;
  byId("corpus").replaceChildren(new Option("the list below", ""), ...indexes.map((index) =>
    new Option(`${index.name} (${index.texts.toLocaleString("en")} texts)`, index.name)));
}

const listAll = () => listModels().then(listIndexes);

// Returns the typed replies, or the texts of an index nearest to the context.
async function candidates(context) {
  const index = byId("corpus").value;
  if (!index) {
    return byId("replies").value.split("\n").map((line) => line.trim()).filter(Boolean);
  }
  const body = { index, input: context, k: 10, model: byId("model").value };
  return (await request("/search", body)).answers.map((answer) => answer.text);
}

const dot = (a, b) => a.reduce((sum, value, index) => sum + value * b[index], 0);

function cell(row, text, className) {
  const element = row.insertCell();
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

function showRanking(ranked) {
  byId("ranking").replaceChildren(...ranked.map((reply, index) => {
    const row = document.createElement("tr");
    cell(row, index + 1, "number");
    cell(row, reply.text, "reply");
    const similarity = cell(row, reply.similarity.toFixed(3), "number");
    const bar = document.createElement("span");
    const fill = document.createElement("span");
    bar.className = "bar";
    bar.setAttribute("aria-hidden", "true");
    fill.style.width = `${Math.max(0, reply.similarity) * 100}%`;
    bar.append(fill);
    similarity.append(bar);
    const tokens = cell(row, reply.tokens, "number");
    if (reply.truncated) {
      const truncated = document.createElement("span");
      truncated.className = "truncated";
      truncated.textContent = "truncated";
      tokens.append(truncated);
    }
    return row;
  }));
}

function svg(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// One hue, light to dark, so that colour-blind readers can tell the values apart.
const shade = (value) => `hsl(210 75% ${95 - 65 * Math.min(1, Math.max(0, value))}%)`;

function showPicture(embeddings) {
  const items = embeddings.slice(0, MAX_PICTURE);
  const size = 44, margin = 28, side = margin + size * items.length;
  const picture = svg("svg", { width: side, height: side, viewBox: `0 0 ${side} ${side}` });
  items.forEach((row, i) => {
    const label = i === 0 ? "C" : String(i);
    const middle = margin + i * size + size / 2;
    picture.append(svg("text", { x: middle, y: margin - 10, "text-anchor": "middle" }, label));
    picture.append(svg("text", { x: margin - 12, y: middle + 4, "text-anchor": "middle" }, label));
    items.forEach((column, j) => {
      const value = dot(row, column);
      const x = margin + j * size, y = margin + i * size;
      picture.append(svg("rect", { x, y, width: size - 2, height: size - 2, fill: shade(value) }));
      picture.append(svg("text", {
        x: x + size / 2 - 1, y: y + size / 2 + 3, "text-anchor": "middle",
        class: value > 0.68 ? "light" : "dark",
      }, value.toFixed(2)));
    });
  });
  byId("picture").replaceChildren(picture);
}

async function rank(event) {
  event.preventDefault();
  const button = document.querySelector("button");
  button.disabled = true;
  showStatus("Encoding…");
  try {
    if (!byId("model").value) await listAll();
    const start = performance.now();
    const contextText = byId("context").value.trim();
    const replies = await candidates(contextText);
    if (!replies.length) throw new Error("Write at least one reply.");
    const texts = [contextText, ...replies];
    const path = `/v1/models/${encodeURIComponent(byId("model").value)}:predict`;
    const outputs = (await request(path, { inputs: texts })).outputs;
    const milliseconds = performance.now() - start;
    const context = outputs.embedding[0];
    const ranked = replies.map((text, index) => ({
      text,
      embedding: outputs.embedding[index + 1],
      similarity: dot(context, outputs.embedding[index + 1]),
      tokens: outputs.num_tokens[index + 1],
      truncated: outputs.truncated[index + 1],
    })).sort((a, b) => b.similarity - a.similarity);
    showRanking(ranked);
    showPicture([context, ...ranked.map((reply) => reply.embedding)]);
    byId("results").hidden = false;
    const tokens = outputs.num_tokens.reduce((sum, count) => sum + count, 0);
    showStatus(`${texts.length} texts, ${tokens} tokens (context: ${outputs.num_tokens[0]}), ` +
      `${milliseconds.toFixed(0)} ms round trip.`);
  } catch (error) {
    showStatus(error.message, true);
  } finally {
    button.disabled = false;
  }
}

byId("form").addEventListener("submit", rank);
byId("corpus").addEventListener("change", () => {
  const fromCorpus = byId("corpus").value !== "";
  byId("typed").hidden = fromCorpus;
  byId("replies").required = !fromCorpus;
});
listAll().catch((error) => showStatus(error.message, true));
