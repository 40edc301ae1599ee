"use strict";
const $ = (id) => document.getElementById(id);
const chosen = (kind) => document.querySelector(`#${kind} .model`).value;
let seed = 1;

async function post(name, request) {
  const response = await fetch(`/${name}`, { method: "POST", body: JSON.stringify(request) });
  if (!response.ok) throw new Error((await response.json()).error);
  return response;
}
const ask = async (name, request = {}) => (await post(name, request)).json();

// What goes on is one line at the foot of the page; so is an error, until something succeeds.
let working = 0;
async function trying(action) {
  $("busy").hidden = !(working += 1);
  try { const result = await action(); $("error").textContent = ""; return result; }
  catch (error) { $("error").textContent = error.message; }
  finally { $("busy").hidden = !(working -= 1); }
}

// From black over red to yellow, for a share of 0..1.
const warm = (share) => `hsl(${60 * share} 90% ${Math.min(60, 100 * share)}%)`;

function paint(canvas, rows, colour) {
  const tools = canvas.getContext("2d"), high = canvas.height / rows.length, wide = canvas.width / rows[0].length;
  rows.forEach((row, i) => row.forEach((value, j) => {
    tools.fillStyle = colour(value, i, j);
    tools.fillRect(Math.floor(j * wide), Math.floor(i * high), Math.ceil(wide), Math.ceil(high));
  }));
}

const grey = (value) => Array.isArray(value) ? `rgb(${value.join(" ")})` : `rgb(${value} ${value} ${value})`;

function picture(rows, size, caption) {
  const figure = document.createElement("figure"), canvas = document.createElement("canvas");
  canvas.height = size;
  canvas.width = Math.round(size * rows[0].length / rows.length);
  paint(canvas, rows, grey);
  figure.append(canvas, document.createElement("figcaption"));
  figure.lastChild.textContent = caption;
  return figure;
}

// Images: the pen, the surprise under it, and completions, each asked for when the drawing rests.
const digit = { pixels: [], nats: null, height: 28, width: 28, timer: 0, last: 0 };

function cleared() {
  digit.pixels = Array.from({ length: digit.height }, () => new Array(digit.width).fill(0));
  digit.nats = null;
  shown();
  $("completions").replaceChildren();
  $("heat").getContext("2d").clearRect(0, 0, 336, 336);
}

function shown() {
  const rows = Number($("rows").value);
  $("rows-said").textContent = rows;
  paint($("pen"), digit.pixels, (value, i) => i < rows ? grey(255 * value) : "#444");
}

function where(event) {
  const box = $("pen").getBoundingClientRect();
  const row = Math.floor((event.clientY - box.top) / box.height * digit.height);
  const column = Math.floor((event.clientX - box.left) / box.width * digit.width);
  return [Math.max(0, Math.min(digit.height - 1, row)), Math.max(0, Math.min(digit.width - 1, column))];
}

function pen(event) {
  const [row, column] = where(event), rows = Number($("rows").value);
  if (event.buttons & 1) {
    for (const [i, j] of [[0, 0], [0, 1], [1, 0], [1, 1]])
      if (row + i < rows && column + j < digit.width) digit.pixels[row + i][column + j] = 1;
    digit.nats = null;
    shown();
    later();
  }
  const nats = digit.nats && row < rows ? digit.nats[row][column] : null;
  $("under").textContent = `-log p of pixel (${row}, ${column}): ${nats === null ? "..." : nats.toFixed(3) + " nats"}`;
}

function later() {
  clearTimeout(digit.timer);
  digit.timer = setTimeout(() => trying(completed), 250);
}

async function completed() {
  const mine = ++digit.last, rows = Number($("rows").value);
  const request = { model: chosen("images"), pixels: digit.pixels, rows, seed };
  const { nats } = await ask("surprise", request);
  if (mine !== digit.last) return;
  digit.nats = nats;
  const known = nats.slice(0, rows).flat(), most = Math.max(1, ...known);
  paint($("heat"), nats, (value, i) => i < rows ? warm(Math.min(1, value / most)) : "#444");
  $("total").textContent = `${known.reduce((a, b) => a + b, 0).toFixed(1)} nats in the ${rows} known rows; yellow is ${most.toFixed(1)}`;
  const drawn = await ask("complete", request);
  if (mine !== digit.last) return;
  $("completions").replaceChildren(...drawn.images.map((image, i) => picture(image, 112, `${drawn.nats[i].toFixed(1)} nats`)));
}

function images(models) {
  const resized = () => {
    const model = models.find((each) => each.name === chosen("images"));
    const same = model.height === digit.height && model.width === digit.width && digit.pixels.length;
    Object.assign(digit, { height: model.height, width: model.width });
    $("rows").max = model.height - 1;
    if (same) later(); else cleared();
  };
  document.querySelector("#images .model").onchange = resized;
  $("pen").onpointerdown = $("pen").onpointermove = pen;
  $("rows").oninput = () => { shown(); later(); };
  $("clear").onclick = cleared;
  $("again").onclick = () => { seed += 1; later(); };
  resized();
}

// Text: characters come line by line; the darker, the more surprising.
function text() {
  $("write").onclick = () => trying(async () => {
    $("write").disabled = true;
    try { await streamed(); } finally { $("write").disabled = false; }
  });
}

async function streamed() {
  const prompt = $("prompt").value, temperature = Number($("temperature").value);
  const response = await post("write", { model: chosen("text"), prompt, temperature, seed: seed++ });
  const strong = document.createElement("b");
  strong.textContent = prompt;
  $("written").replaceChildren(strong);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", total = 0, count = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const { text, nats } = JSON.parse(line), span = document.createElement("span");
      span.textContent = text;
      span.title = `-log p = ${nats.toFixed(3)} nats`;
      span.style.backgroundColor = `rgb(200 64 28 / ${Math.min(0.9, nats / 6)})`;
      $("written").append(span);
      total += nats;
      count += 1;
    }
    $("written-said").textContent = `${(total / Math.max(1, count)).toFixed(3)} nats per character, ${count} characters`;
  }
}

function sound() {
  $("play").onclick = () => trying(async () => {
    const drawn = await ask("sound", { model: chosen("sound"), seconds: Number($("seconds").value), seed: seed++ });
    const player = document.createElement("audio"), said = document.createElement("p");
    player.controls = true;
    player.src = `data:audio/wav;base64,${drawn.wav}`;
    said.className = "said";
    said.textContent = `${drawn.bits.toFixed(3)} bits per sample`;
    $("sounds").prepend(player, said);
  });
}

async function translation() {
  const filled = async () => {
    const { sources } = await ask("sources", { model: chosen("translation") });
    $("known").replaceChildren(...sources.map((source) => new Option(source)));
    $("source").value = sources[0] ?? "";
  };
  document.querySelector("#translation .model").onchange = () => trying(filled);
  $("translate").onclick = () => trying(async () => {
    const made = await ask("translate", { model: chosen("translation"), source: $("source").value });
    const unknown = made.unknown ? `; ${made.unknown} tokens were unknown` : "";
    $("translated").textContent = `${made.text} (${made.nats.toFixed(3)} nats${unknown})`;
    const table = document.createElement("table"), head = table.createTHead().insertRow();
    for (const token of made.weights.length ? ["", ...made.read] : []) head.insertCell().textContent = token === " " ? "␣" : token;
    made.weights.forEach((row, i) => {
      const line = table.insertRow();
      line.insertCell().textContent = made.written[i] === " " ? "␣" : made.written[i];
      for (const weight of row) {
        const cell = line.insertCell();
        cell.style.backgroundColor = `rgb(200 64 28 / ${weight})`;
        cell.title = weight.toFixed(3);
      }
    });
    $("alignment").replaceChildren(table);
  });
  await filled();
}

async function captions() {
  const filled = async () => {
    const { images } = await ask("scenes", { model: chosen("captions") });
    $("scenes").replaceChildren(...images.map((image, index) => {
      const figure = picture(image, 96, "");
      figure.onclick = () => trying(() => described(image, index));
      return figure;
    }));
  };
  document.querySelector("#captions .model").onchange = () => trying(filled);
  await filled();
}

async function described(image, index) {
  const made = await ask("caption", { model: chosen("captions"), index }), canvas = $("gaze");
  canvas.hidden = false;
  canvas.height = Math.round(336 * image.length / image[0].length);
  const look = (weights) => {
    const most = weights ? Math.max(...weights.flat()) : 1;
    paint(canvas, image, (value, i, j) => {
      if (!weights) return grey(value);
      const share = weights[Math.floor(i / image.length * weights.length)][Math.floor(j / image[0].length * weights[0].length)] / most;
      const levels = Array.isArray(value) ? value : [value, value, value];
      return `rgb(${levels.map((level) => Math.round(level * (0.25 + 0.75 * share))).map((level, k) => Math.min(255, level + (k < 1 ? 70 * share : 0))).join(" ")})`;
    });
  };
  look(null);
  $("caption").replaceChildren(...made.written.map((word, t) => {
    const span = document.createElement("span");
    span.textContent = word;
    span.onpointerenter = span.onclick = () => {
      document.querySelectorAll("#caption span").forEach((each) => each.classList.toggle("on", each === span));
      look(made.weights[t] ?? null);
    };
    return span;
  }), `(${made.nats.toFixed(3)} nats)`);
}

trying(async () => {
  const models = await ask("listed"), set = { images, text, sound, translation, captions };
  for (const kind of Object.keys(set)) {
    const section = $(kind);
    if (!models[kind].length) {
      const said = document.createElement("p");
      said.className = "said missing";
      said.textContent = "The box has no weights for this; train a model and name its run.";
      section.replaceChildren(section.querySelector("h2"), said);
      continue;
    }
    section.querySelector(".model").replaceChildren(...models[kind].map((model) => new Option(model.name)));
    await set[kind](models[kind]);
  }
  document.body.dataset.ready = "yes";
});
