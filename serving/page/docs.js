// Shows the operations that /openapi.json describes, with their examples.

import { copy, curlCommand } from "./command.js";
import { ask } from "./requests.js";

function add(parent, tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

// Adds text that can be scrolled with the keyboard where it is wider than the page.
function addCode(parent, text, label) {
  return add(parent, "pre", text, { tabindex: "0", role: "group", "aria-label": label });
}

// Replaces { "$ref": "#/components/…" } everywhere, except inside the same definition.
function resolve(value, description, open = []) {
  if (Array.isArray(value)) return value.map((item) => resolve(item, description, open));
  if (value === null || typeof value !== "object") return value;
  const target = value.$ref;
  if (typeof target === "string" && !open.includes(target)) {
    const found = target.split("/").slice(1).reduce((part, name) => part[name], description);
    return resolve(found, description, [...open, target]);
  }
  return Object.fromEntries(Object.entries(value).map(([name, item]) =>
    [name, resolve(item, description, open)]));
}

const jsonPart = (message) => message?.content?.["application/json"];

// JSON with each list of numbers or booleans on one line.
function readable(value) {
  const lists = /\[\s+((?:-?[\d.e-]+|true|false)(?:,\s+(?:-?[\d.e-]+|true|false))*)\s+\]/g;
  return JSON.stringify(value, null, 2)
    .replace(lists, (_, items) => `[${items.replace(/\s+/g, " ")}]`);
}

function addTitle(parent, path, method) {
  add(parent, "span", method.toUpperCase(), { class: "method" });
  add(parent, "code", path);
}

function showOperation(main, description, { path, method, operation }) {
  const section = add(main, "section", "", { id: operation.operationId });
  addTitle(add(section, "h3"), path, method);
  add(section, "p", operation.summary);
  const request = jsonPart(operation.requestBody);
  const answer = jsonPart(operation.responses["200"]);
  if (answer?.example !== undefined) {
    showExample(section, description, path, operation, request?.example, answer.example);
  }
  for (const [status, response] of Object.entries(operation.responses)) {
    const line = add(section, "div", "", { class: "status" });
    add(line, "code", status);
    line.append(` ${resolve(response, description).description}`);
  }
  if (request) {
    const details = add(section, "details");
    add(details, "summary", "Request body (JSON Schema)");
    const schema = resolve(request.schema, description);
    addCode(details, JSON.stringify(schema, null, 2), "Schema of the request body");
  }
}

function showExample(section, description, path, operation, body, answer) {
  const values = Object.fromEntries((operation.parameters ?? [])
    .map((parameter) => resolve(parameter, description))
    .map((parameter) => [parameter.name, parameter.example ?? parameter.name]));
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name]));
  // Each entry is a choice; an empty one needs nothing.
  const choices = operation.security ?? description.security ?? [];
  const keyNeeded = choices.length > 0 && choices.every((choice) => Object.keys(choice).length);
  const line = add(section, "p");
  const command = addCode(section, curlCommand(filled, { body, keyNeeded }), "Example request");
  const button = add(line, "button", "Copy the command", { type: "button", class: "plain" });
  const note = add(line, "span", "", { role: "status", "aria-live": "polite", class: "copied" });
  button.addEventListener("click", () => copy(command, note));
  addCode(section, readable(answer), "Example response");
}

async function show() {
  const description = await ask("/openapi.json");
  const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
  const main = document.getElementById("operations");
  const contents = add(main, "nav", "", { "aria-label": "Contents" });
  for (const tag of description.tags) {
    const members = operations.filter(({ operation }) => operation.tags.includes(tag.name));
    add(contents, "h2", tag.name);
    const list = add(contents, "ul");
    add(main, "h2", tag.name);
    add(main, "p", tag.description);
    for (const member of members) {
      const link = add(add(list, "li"), "a", "", { href: `#${member.operation.operationId}` });
      addTitle(link, member.path, member.method);
      showOperation(main, description, member);
    }
  }
  // The browser looked for the operation of the address before it was there.
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

show().catch((error) => {
  document.getElementById("status").textContent = error.message;
  document.getElementById("status").className = "error";
});
