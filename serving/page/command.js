// Requests as curl commands, and copying them.

// Returns a command for sh, bash, zsh and fish; it is a POST if there is a body. The key is read
// from the environment, because commands stay in the shell's history.
export function curlCommand(path, { body, keyNeeded = false } = {}) {
  const lines = [`curl ${quote(location.origin + path)}`];
  if (keyNeeded) lines.push('-H "Authorization: Bearer $REJOINDER_API_KEY"');
  if (body !== undefined) {
    lines.push("-H 'Content-Type: application/json'", `-d ${quote(JSON.stringify(body))}`);
  }
  return lines.join(" \\\n  ");
}

// JSON spells an apostrophe and a backslash in ways that no shell changes; a URL has neither.
function quote(text) {
  return `'${text.replaceAll("\\\\", "\\u005c").replaceAll("'", "\\u0027")}'`;
}

// Copies text; works also without the clipboard's interface, which plain http pages of other
// hosts than localhost lack.
export async function copy(element, note) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    note.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(element);
    note.textContent = "Selected: copy it with Ctrl+C.";
  }
}
