// The table of ranked replies.

import { fixed } from "./matrix.js";

const MOST_CHARACTERS = 280, MOST_LINES = 4;

// Returns one row for each reply: { text, similarity, tokens, truncated }, best first.
export function rankingRows(ranked) {
  return ranked.map((reply, index) => {
    const row = element("tr", { role: "row" });
    row.append(
      element("td", { role: "cell", class: "number rank" }, String(index + 1)),
      replyCell(reply.text, index),
      similarityCell(reply.similarity),
      tokensCell(reply),
    );
    return row;
  });
}

function replyCell(text, index) {
  const cell = element("td", { role: "cell", class: "text" });
  const reply = element("div", { class: "reply", dir: "auto", id: `reply-${index}` }, text);
  cell.append(reply);
  if (text.length > MOST_CHARACTERS || text.split("\n").length > MOST_LINES) {
    reply.classList.add("folded");
    cell.append(foldButton(reply, text));
  }
  return cell;
}

function foldButton(reply, text) {
  const show = `Show all ${text.length.toLocaleString("en")} characters`;
  const button = element("button", {
    type: "button", class: "fold", "aria-expanded": "false", "aria-controls": reply.id,
  }, show);
  button.addEventListener("click", () => {
    const folded = reply.classList.toggle("folded");
    button.setAttribute("aria-expanded", String(!folded));
    button.textContent = folded ? show : "Show less";
  });
  return button;
}

function similarityCell(similarity) {
  const cell = element("td", { role: "cell", class: "number similarity" }, fixed(similarity, 3));
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  const fill = element("span", {});
  fill.style.width = `${Math.max(0, similarity) * 100}%`;
  bar.append(fill);
  cell.append(bar);
  return cell;
}

function tokensCell(reply) {
  const cell = element("td", { role: "cell", class: "number tokens" }, String(reply.tokens));
  if (reply.truncated) cell.append(element("span", { class: "truncated" }, "truncated"));
  return cell;
}

function element(tag, attributes, text) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
