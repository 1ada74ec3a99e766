"use strict";
// Shows the operations that /openapi.json describes.

function add(parent, tag, text, className) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  parent.append(element);
  return element;
}

async function show() {
  const description = await (await fetch("/openapi.json")).json();
  const main = document.getElementById("operations");
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const section = add(main, "section", "");
      const title = add(section, "h2", "");
      add(title, "span", method.toUpperCase(), "method");
      add(title, "code", path);
      add(section, "p", operation.summary);
      for (const [status, response] of Object.entries(operation.responses)) {
        const line = add(section, "div", "");
        add(line, "code", status);
        line.append(` ${response.description}`);
      }
      if (operation.requestBody) {
        const details = add(section, "details", "");
        add(details, "summary", "Request body (JSON Schema)");
        const schema = operation.requestBody.content["application/json"].schema;
        add(details, "pre", JSON.stringify(schema, null, 2)).tabIndex = 0;
      }
    }
  }
}

show();
