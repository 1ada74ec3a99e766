// The similarity matrix, as SVG. Its colours are in page.css, one set for each colour scheme.

const MOST_ITEMS = 40, SIZE = 44, MARGIN = 28;

export const dot = (a, b) => a.reduce((sum, value, index) => sum + value * b[index], 0);

// Returns a number with `digits` decimals, and zero without a sign.
export const fixed = (value, digits) => (Number(value.toFixed(digits)) || 0).toFixed(digits);

// Returns the cosine of each embedding with each; the first one is the context's.
export function similarityMatrix(embeddings) {
  const items = embeddings.slice(0, MOST_ITEMS);
  const side = MARGIN + SIZE * items.length;
  const matrix = svg("svg", { width: side, height: side, viewBox: `0 0 ${side} ${side}` });
  items.forEach((row, i) => {
    const label = i === 0 ? "C" : String(i);
    const middle = MARGIN + i * SIZE + SIZE / 2;
    matrix.append(svg("text", { x: middle, y: MARGIN - 10, class: "label" }, label));
    matrix.append(svg("text", { x: MARGIN - 12, y: middle + 4, class: "label" }, label));
    items.forEach((column, j) => {
      const value = dot(row, column);
      const x = MARGIN + j * SIZE, y = MARGIN + i * SIZE;
      const cell = svg("rect", { x, y, width: SIZE - 2, height: SIZE - 2 });
      cell.style.setProperty("--value", `${100 * Math.min(1, Math.max(0, value))}%`);
      matrix.append(cell);
      matrix.append(svg("text", { x: x + SIZE / 2 - 1, y: y + SIZE / 2 + 3 }, fixed(value, 2)));
    });
  });
  return matrix;
}

function svg(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
