"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const make = (tag, text, attributes = {}) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  document.documentElement.classList.add("js");
  const hidden = new Set();

  // strategies: a box in front of each name of the legend
  for (const item of all("#legend li")) {
    const place = item.dataset.place;
    const label = make("label");
    const box = make("input", "", { type: "checkbox" });
    box.checked = true;
    box.addEventListener("change", () => {
      hidden[box.checked ? "delete" : "add"](place);
      for (const part of all(`[data-s="${place}"]`)) part.classList.toggle("hid", !box.checked);
    });
    label.append(box, ...item.childNodes);
    item.append(label);
  }

  // views: of the sections that stand below each other without this script, the chosen one
  const views = all(".view");
  const chosen = {};
  const pick = () => {
    for (const view of views)
      view.classList.toggle("off", Object.entries(chosen).some(([key, value]) => (view.dataset[key] || value) !== value));
  };
  const controls = document.getElementById("controls");
  if (controls && views.length) {
    const choices = make("div", "", { class: "choices" });
    for (const [key, title] of [["x", "against"], ["part", "on"], ["scale", "as"]]) {
      const values = [...new Set(views.map((view) => view.dataset[key]).filter(Boolean))];
      if (!values.length) continue;
      chosen[key] = values[0];
      const group = make("fieldset");
      group.append(make("legend", title));
      for (const value of values) {
        const label = make("label");
        const radio = make("input", "", { type: "radio", name: `view-${key}`, value });
        radio.checked = value === values[0];
        radio.addEventListener("change", () => { chosen[key] = value; pick(); });
        label.append(radio, ` ${value}`);
        group.append(label);
      }
      choices.append(group);
    }
    controls.append(choices);
    document.getElementById("curves").classList.add("picked");
    pick();
  }

  // values: of every curve that is shown, at the place under the pointer
  const tip = document.getElementById("tip");
  const number = (value) => (value === null ? "none yet" : value.toFixed(Math.abs(value) < 10 ? 3 : 2));
  const step = (line, x) => {
    let place = -1;
    while (place + 1 < line.x.length && line.x[place + 1] <= x + 1e-9) place += 1;
    return place;
  };
  const ask = (svg, panels, event) => {
    const frame = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / frame.width;
    const [px, py] = [(event.clientX - frame.left) * scale, (event.clientY - frame.top) * scale];
    const panel = panels.find(({ box }) => px >= box[0] && px <= box[2] && py >= box[1] && py <= box[3]);
    tip.hidden = !panel;
    if (!panel) return;
    const share = (px - panel.box[0]) / (panel.box[2] - panel.box[0]);
    const [low, high] = panel.lim;
    let x = panel.log ? low * (high / low) ** share : low + share * (high - low);
    const whole = ["trials", "epochs"].includes(panel.x);
    if (whole) x = Math.max(1, Math.round(x));
    tip.replaceChildren(make("b", `${panel.x}: ${whole ? x : Number(x.toPrecision(3))}`));
    const error = Boolean(panel.of); // then the numbers are 100 less what the accuracy's curves say
    const told = (value) => (error && value !== null ? 100 - value : value);
    for (const [place, line] of Object.entries((error ? data.figures[panel.of][0] : panel).lines)) {
      const at = hidden.has(place) ? -1 : step(line, x);
      if (at < 0) continue;
      const row = make("div");
      const dot = make("i");
      dot.style.background = data.strategies[place].colour;
      let text = `${data.strategies[place].label}: ${number(told(line.y[at]))}${line.y[at] === null ? "" : panel.unit}`;
      if (line.l && line.l[at] !== null && line.h[at] !== null) {
        const ends = [told(line.l[at]), told(line.h[at])].sort((a, b) => a - b);
        text += ` [${ends.map(number).join(", ")}]`;
      }
      row.append(dot, text);
      tip.append(row);
    }
    const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - tip.offsetWidth - 4);
    tip.style.left = `${Math.max(4, left) + scrollX}px`;
    tip.style.top = `${event.clientY + 16 + scrollY}px`;
  };
  for (const figure of all(".ask")) {
    const panels = data.figures[figure.id];
    const svg = figure.querySelector(".fig svg");
    if (!panels || !panels.length) continue;
    for (const kind of ["pointermove", "pointerdown"]) svg.addEventListener(kind, (event) => ask(svg, panels, event));
    svg.addEventListener("pointerleave", () => { tip.hidden = true; });
  }

  // tables: sort by a column, keep rows that contain a text, copy
  const value = (row, place) => row.cells[place].textContent.trim();
  const order = (text, numeric) => {
    if (!numeric) return text.toLowerCase();
    if (/^[+-]?(∞|inf)/.test(text)) return (text.startsWith("-") ? -1 : 1) * Number.MAX_VALUE;
    const found = /[+-]?(?:\d+(?:,\d{3})*(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?/i.exec(text);
    if (!found) return Infinity; // no number: last, whichever way
    const number = parseFloat(found[0].replaceAll(",", ""));
    const beyond = { "<": -1e-9, ">": 1e-9 }[text[0]] || 0;
    return number + beyond * Math.abs(number);
  };
  const copy = async (text, button) => {
    const title = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = title; }, 1200);
  };
  for (const block of all(".table")) {
    const body = block.querySelector("tbody");
    const rows = [...body.rows];
    all("th", block).forEach((head, place) => {
      const button = make("button", head.textContent, { type: "button" });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const other of all("th", block)) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        const numeric = head.classList.contains("num");
        const keyed = rows.map((row, index) => [order(value(row, place), numeric), index, row]);
        keyed.sort((a, b) => {
          if (a[0] === b[0]) return a[1] - b[1];
          if (a[0] === Infinity || b[0] === Infinity) return a[0] === Infinity ? 1 : -1;
          return a[0] < b[0] ? -sign : sign;
        });
        body.append(...keyed.map(([, , row]) => row));
      });
    });
    const tools = make("div", "", { class: "tools" });
    const filter = make("input", "", { type: "search", placeholder: "Filter rows", "aria-label": "Filter rows" });
    filter.addEventListener("input", () => {
      const wanted = filter.value.toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    tools.append(filter);
    for (const [key, title] of [["latex", "Copy as LaTeX"], ["csv", "Copy as CSV"]]) {
      const button = make("button", title, { type: "button" });
      button.addEventListener("click", () => copy(data.tables[block.dataset.name][key], button));
      tools.append(button);
    }
    block.querySelector("h3").after(tools);
  }
})();
