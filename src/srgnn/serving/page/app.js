// The page of the service: a session that grows by clicks, its graph, and the next items.
const COUNT = 20; // items shown, the cut-off of the metrics
const byId = (id) => document.getElementById(id);
const titles = new Map(); // of the items seen so far
const state = { session: [], out: null, before: [] }; // raw ids; the click left out; the list shown before

let key = ""; // of a service that asks for one; kept in this page only

async function call(path, body) {
  const headers = { ...(key && { Authorization: `Bearer ${key}` }), ...(body && { "Content-Type": "application/json" }) };
  const response = await fetch(path, { headers, ...(body && { method: "POST", body: JSON.stringify(body) }) });
  const answer = await response.json();
  byId("key-form").hidden = response.status !== 401;
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function complain(error) {
  byId("error").textContent = error instanceof TypeError ? "The service cannot be reached." : error.message;
  byId("error").hidden = false;
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Draws a list anew; the keyboard stays at the place where it was.
function redraw(list, children) {
  const place = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.replaceChildren(...children);
  const buttons = list.querySelectorAll("button");
  if (place >= 0) (buttons[Math.min(place, buttons.length - 1)] ?? byId("search")).focus();
}

const nameOf = (id) => titles.get(id) ?? String(id);
const remember = (items) => items.forEach(({ id, title }) => title && titles.set(id, title));
// Both ends of a long text, since titles often begin alike.
const short = (text, length = 17) => (text.length > length ? `${text.slice(0, 9)}…${text.slice(9 - length + 1)}` : text);

// Only the newest question is answered: an older answer may arrive later.
let newest = 0;
async function show() {
  const question = ++newest;
  drawClicks();
  const session = state.session.filter((_, place) => place !== state.out);
  const wanted = { k: COUNT, new_only: byId("new-only").checked, probabilities: true };
  try {
    const [all, left, graph] = await Promise.all([
      call("recommend", { session: state.session, ...wanted }),
      state.out === null ? null : call("recommend", { session, ...wanted }),
      session.length ? call("explain", { session }) : null,
    ]);
    if (question !== newest) return;
    byId("error").hidden = true;
    [all.items, left?.items, graph?.nodes].forEach((items) => items && remember(items));
    drawNext(left ?? all, left ? all.items.map(({ id }) => id) : state.before);
    drawGraph(graph, session);
    if (!left) state.before = all.items.map(({ id }) => id);
    const known = graph?.nodes.map(({ id }) => id) ?? [];
    const last = session.findLast((id) => known.includes(id)) ?? null;
    const similar = last === null ? null : await call("similar", { item: last, k: 6 }).catch(() => null);
    if (question === newest) drawSimilar(last, similar?.items ?? []);
  } catch (error) {
    if (question !== newest) return;
    complain(error);
  }
}

function click(id) {
  state.session.push(id);
  state.out = null;
  show();
}

function remove(place) {
  state.session.splice(place, 1);
  state.out = null;
  show();
}

function drawClicks() {
  byId("nothing").hidden = state.session.length > 0;
  byId("undo").disabled = byId("clear").disabled = !state.session.length;
  redraw(
    byId("clicks"),
    state.session.map((id, place) => {
      const isOut = place === state.out;
      const what = element("button", { type: "button", "aria-pressed": isOut, title: "What if this click were missing?" });
      what.textContent = nameOf(id);
      what.onclick = () => {
        state.out = isOut ? null : place;
        show();
      };
      const gone = element("button", { type: "button", "aria-label": `Remove click ${place + 1}, ${nameOf(id)}` }, "×");
      gone.onclick = () => remove(place);
      return element("li", isOut ? { class: "out" } : {}, what, gone);
    }),
  );
}

function drawNext({ items, by_popularity: byPopularity, skipped }, before) {
  const left = state.out === null ? "" : `Without click ${state.out + 1}, ${nameOf(state.session[state.out])}. `;
  const unknown = skipped.length ? ` Unknown and skipped: ${skipped.join(", ")}.` : "";
  byId("how").textContent = left + (byPopularity
    ? "The most clicked items of all, because no click is known."
    : "Bars show probabilities, arrows the places won or lost by the last change.") + unknown;
  const most = Math.max(...items.map(({ probability }) => probability));
  redraw(
    byId("next"),
    items.map(({ id, probability }, place) => {
      const bar = element("span", { class: "bar" });
      bar.style.width = `${(100 * probability) / most}%`;
      const share = element("span", { class: "quiet" }, `${(100 * probability).toFixed(1)} %`);
      const button = element("button", { type: "button" }, bar, nameLine(id), change(before, id, place), share);
      button.onclick = () => click(id);
      return element("li", {}, button);
    }),
  );
}

// Models that count clicks have no embeddings, and nothing is drawn.
function drawSimilar(last, items) {
  byId("alike").hidden = !items.length;
  if (!items.length) return;
  remember(items);
  byId("alike-to").textContent = `To the last click, ${nameOf(last)}, by the cosine of the embeddings.`;
  redraw(
    byId("similar"),
    items.map(({ id, cosine }) => {
      const button = element("button", { type: "button" }, nameLine(id), element("span", { class: "quiet" }, cosine.toFixed(2)));
      button.onclick = () => click(id);
      return element("li", {}, button);
    }),
  );
}

// The title of an item with its id, or the id alone.
function nameLine(id) {
  const name = element("span", { class: "name" }, nameOf(id));
  if (titles.has(id)) name.append(" ", element("span", { class: "quiet" }, String(id)));
  return name;
}

function change(before, id, place) {
  const was = before.indexOf(id);
  if (!before.length || was === place) return element("span", { class: "change" });
  if (was < 0) return element("span", { class: "change better" }, "new");
  const text = was > place ? `▲ ${was - place}` : `▼ ${place - was}`;
  return element("span", { class: `change ${was > place ? "better" : "worse"}` }, text);
}

function svg(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

function drawGraph(graph, session) {
  byId("legend").textContent = "";
  if (!graph?.nodes.length) return byId("graph").replaceChildren();
  const { nodes, edges } = graph;
  const far = nodes.length > 1 ? Math.max(100, 14 * nodes.length) : 0;
  const spots = nodes.map((node, index) => {
    const angle = Math.PI + (2 * Math.PI * index) / nodes.length; // clockwise from the left
    const r = node.attention === null ? 12 : 8 + 18 * Math.sqrt(Math.min(1, Math.abs(node.attention)));
    const [x, y] = [1.2 * far * Math.cos(angle), far * Math.sin(angle)];
    return { x, y, r, label: y < -1 ? y - r - 6 : y + r + 13 }; // away from the edges
  });
  const [top, bottom] = [Math.min(...spots.map(({ y }) => y)) - 50, Math.max(...spots.map(({ y }) => y)) + 50];
  const half = Math.max(180, 1.2 * far + 60); // a single item is drawn no larger than two
  const box = `${-half} ${top} ${2 * half} ${bottom - top}`;
  const image = svg("svg", { viewBox: box, role: "img", "aria-label": described(graph) });
  const marker = svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7,
    orient: "auto", markerUnits: "userSpaceOnUse" });
  marker.append(svg("path", { d: "M0,0 L8,4 L0,8 z" }));
  image.append(marker);
  for (const { source, target, times } of edges) {
    const edge = svg("path", { class: "edge", d: arrow(spots[source], spots[target], source === target),
      "stroke-width": 1 + Math.min(3, times) * 0.6, "marker-end": "url(#tip)" });
    edge.append(svg("title", {}, `${nameOf(nodes[source].id)} to ${nameOf(nodes[target].id)}, ${times} times`));
    image.append(edge);
  }
  const ids = nodes.map(({ id }) => String(id));
  const last = session.map((id) => ids.indexOf(String(id))).findLast((index) => index >= 0);
  nodes.forEach((node, index) => {
    const { x, y, r, label } = spots[index];
    const circle = svg("circle", { class: index === last ? "node last" : "node", cx: x, cy: y, r });
    circle.append(svg("title", {}, nameOf(node.id)));
    image.append(circle, svg("text", { x, y: label }, short(nameOf(node.id))));
  });
  byId("graph").replaceChildren(image);
  byId("legend").textContent = nodes[0].attention === null
    ? "Filled: the last click. This model has no attention to show."
    : "Filled: the last click. The larger a circle, the larger the size of its attention weight.";
}

// A curve from rim to rim, bent to one side, so that the way back is another curve.
function arrow(a, b, isLoop) {
  if (isLoop) return `M${a.x - a.r},${a.y} C${a.x - a.r - 26},${a.y - 34} ${a.x + 8},${a.y - a.r - 40} ${a.x},${a.y - a.r - 2}`;
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = Math.hypot(dx, dy);
  const [mx, my] = [(a.x + b.x) / 2 - dy * 0.14, (a.y + b.y) / 2 + dx * 0.14];
  const rim = (spot, r) => {
    const away = Math.hypot(mx - spot.x, my - spot.y);
    return [spot.x + ((mx - spot.x) * r) / away, spot.y + ((my - spot.y) * r) / away];
  };
  if (length < 1) return "";
  return `M${rim(a, a.r)} Q${mx},${my} ${rim(b, b.r + 3)}`;
}

function described({ nodes, edges }) {
  const pairs = edges.map(({ source, target }) => `${nameOf(nodes[source].id)} to ${nameOf(nodes[target].id)}`);
  return `Session graph with ${nodes.length} items${pairs.length ? `: ${pairs.join(", ")}` : ""}`;
}

// The search: a combobox as the ARIA practices describe it.
const search = byId("search");
const found = byId("found");
let active = -1;
let searches = 0;
let pending = Promise.resolve(); // the newest search

function close() {
  searches++; // a search that is under way opens nothing
  found.hidden = true;
  search.setAttribute("aria-expanded", "false");
  search.removeAttribute("aria-activedescendant");
  active = -1;
}

function choose(option) {
  search.value = "";
  close();
  click(option.item);
}

function activate(index) {
  const options = [...found.children];
  active = (index + options.length) % options.length;
  options.forEach((option, place) => option.setAttribute("aria-selected", place === active));
  options[active].scrollIntoView({ block: "nearest" });
  search.setAttribute("aria-activedescendant", options[active].id);
}

async function find() {
  const query = search.value.trim();
  const number = ++searches;
  if (!query) return close();
  let items = [];
  try {
    ({ items } = await call(`items?query=${encodeURIComponent(query)}`));
  } catch (error) {
    complain(error);
  }
  if (number !== searches) return;
  remember(items);
  if (!items.length) return close();
  found.replaceChildren(
    ...items.map(({ id }, place) => {
      const option = element("li", { id: `found-${place}`, role: "option", "aria-selected": "false" }, nameOf(id));
      if (titles.has(id)) option.append(" ", element("span", { class: "quiet" }, String(id)));
      option.item = id;
      option.onmousedown = (event) => {
        event.preventDefault();
        choose(option);
      };
      return option;
    }),
  );
  found.hidden = false;
  search.setAttribute("aria-expanded", "true");
  activate(0);
}

search.addEventListener("input", () => (pending = find()));
search.addEventListener("keydown", (event) => {
  if (event.key === "Backspace" && !search.value && state.session.length) remove(state.session.length - 1);
  if (event.key === "Enter") {
    event.preventDefault();
    pending.then(() => found.hidden || choose(found.children[active])); // not among the items of an older search
  }
  if (found.hidden) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    activate(active + (event.key === "ArrowDown" ? 1 : -1));
  } else if (event.key === "Escape") close();
});
search.addEventListener("blur", close);

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
  }
});
byId("key-form").onsubmit = (event) => {
  event.preventDefault();
  key = byId("key").value;
  show();
};
byId("undo").onclick = () => remove(state.session.length - 1);
byId("clear").onclick = () => {
  state.session = [];
  state.out = null;
  show();
};
byId("new-only").onchange = show;
show();
