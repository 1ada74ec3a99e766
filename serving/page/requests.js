// Sends requests to the server, and says in words why one failed.

// A request that has no answer; `gone` tells whether the server could not be reached at all.
export class Failure extends Error {
  constructor(message, { gone = false, keyNeeded = false } = {}) {
    super(message);
    this.gone = gone;
    this.keyNeeded = keyNeeded;
  }
}

// Returns the JSON document of an answer; without `body` the request is a GET.
export async function ask(path, { body, key } = {}) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const options = body ? { headers, method: "POST", body: JSON.stringify(body) } : { headers };
  let response, text;
  try {
    response = await fetch(path, options);
    text = await response.text();
  } catch {
    throw new Failure("The server does not respond: it has stopped, or the network is down.",
      { gone: true });
  }
  const document = parse(text);
  if (response.ok && document !== undefined) return document;
  throw failure(response, document);
}

// Resolves when the server answers again.
export async function serverIsBack() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const answer = await fetch("/ready").catch(() => null);
    if (answer?.ok) return;
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function failure(response, document) {
  const error = document?.error;
  const reason = typeof error === "string" ? error : error?.message;
  switch (response.status) {
    case 401:
      return new Failure("This server needs a key, and the one given is missing or wrong. " +
        "Enter a key and try again.", { keyNeeded: true });
    case 429:
      return new Failure(`The server is busy. Try again in ${retryAfter(response)}.`);
    case 503:
      return new Failure("The server is stopping or starting. Try again in a moment.");
    case 504:
      return new Failure("The server took too long. Try again with fewer or shorter texts.");
  }
  if (reason) return new Failure(reason);
  return new Failure(`The answer is not one of this server (status ${response.status}); ` +
    "is there a proxy before it that fails?");
}

function retryAfter(response) {
  const seconds = Number(response.headers.get("Retry-After"));
  if (!seconds) return "a moment";
  return seconds === 1 ? "1 second" : `${seconds} seconds`;
}
