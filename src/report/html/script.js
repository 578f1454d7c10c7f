(() => {
  "use strict";
  const box = document.getElementById("timeline");
  const svg = box && box.querySelector("svg.drawing");
  if (!svg) return;
  document.documentElement.classList.add("js");
  const left = Number(svg.dataset.left), right = Number(svg.dataset.right), end = Number(svg.dataset.end) / 1e9;
  const out = box.querySelector("output"), cursor = svg.querySelector(".cursor"), ticks = svg.querySelector(".ticks");
  const number = (element, name) => Number(element.getAttribute(name));

  // Everything that stands at a moment, with where it stood at first.
  const rects = [...svg.querySelectorAll(".body .s > rect, .bands rect")].map((element) => {
    const text = element.nextElementSibling;
    return {
      element, x: number(element, "x"), width: number(element, "width"),
      text: text && text.classList.contains("label") ? text : null,
    };
  });
  const lines = [...svg.querySelectorAll(".body > line:not(.decade)")].map((element) => ({ element, x: number(element, "x1") }));
  const marks = [...svg.querySelectorAll(".body .mark")].map((element) => ({
    element, x: Number(element.dataset.x), y: element.dataset.y,
  }));
  const paths = [...svg.querySelectorAll(".points path, .rates path")];
  const firstTicks = ticks.innerHTML;

  // What is seen: from one place of the whole drawing to another.
  let view = [left, right], spot = null;
  const scale = () => (right - left) / (view[1] - view[0]);
  const seen = (x) => left + (x - view[0]) * scale();
  const time = (x) => ((x - left) / (right - left)) * end;

  const named = (seconds, step) => {
    if (step < 1) return seconds.toFixed(Math.min(6, Math.max(1, Math.ceil(-Math.log10(step))))) + " s";
    if (step <= 10) return Math.round(seconds) + " s";
    const whole = Math.round(seconds), two = (part) => String(part).padStart(2, "0");
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    return hours ? hours + ":" + two(minutes) + ":" + two(whole % 60) : minutes + ":" + two(whole % 60);
  };

  const drawTicks = () => {
    if (scale() === 1) { ticks.innerHTML = firstTicks; return; }
    const span = time(view[1]) - time(view[0]);
    const steps = [];
    for (let power = -6; power < 0; power++) for (const digit of [1, 2, 5]) steps.push(digit * 10 ** power);
    steps.push(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200);
    const step = steps.find((step) => span / step <= 12) || span;
    const make = (name, attributes) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const key in attributes) element.setAttribute(key, attributes[key]);
      return ticks.appendChild(element);
    };
    const height = svg.viewBox.baseVal.height;
    ticks.textContent = "";
    for (let count = Math.ceil(time(view[0]) / step - 1e-9); count * step <= time(view[1]); count++) {
      const x = seen(left + ((count * step) / end) * (right - left)).toFixed(1);
      make("line", { class: "tick", x1: x, x2: x, y1: 18, y2: height });
      make("text", { class: "tick", x: Number(x) + 3, y: 13 }).textContent = named(count * step, step);
    }
  };

  const draw = () => {
    const factor = scale();
    for (const { element, x, width, text } of rects) {
      const from = seen(x), long = Math.max(1, width * factor);
      element.setAttribute("x", from.toFixed(1));
      element.setAttribute("width", long.toFixed(1));
      if (text && text.classList.contains("beside")) {
        text.setAttribute("x", (text.classList.contains("after") ? from + long + 4 : from - 4).toFixed(1));
      } else if (text) {
        // A label stays in sight as long as its bar is.
        const start = Math.max(from, left), room = Math.min(from + long, right) - start;
        text.setAttribute("x", (start + 4).toFixed(1));
        text.classList.toggle("none", room < Number(text.dataset.room));
      }
    }
    for (const { element, x } of lines) {
      const at = seen(x).toFixed(1);
      element.setAttribute("x1", at);
      element.setAttribute("x2", at);
    }
    for (const { element, x, y } of marks) element.setAttribute("transform", "translate(" + seen(x).toFixed(1) + " " + y + ")");
    for (const path of paths) {
      if (factor === 1) path.removeAttribute("transform");
      else path.setAttribute("transform", "matrix(" + factor + " 0 0 1 " + (left - view[0] * factor) + " 0)");
    }
    drawTicks();
    point(spot);
  };

  const look = (from, to) => {
    const least = (right - left) / 2000, width = Math.min(right - left, Math.max(least, to - from));
    const start = Math.min(right - width, Math.max(left, from));
    view = [start, start + width];
    draw();
  };
  const zoom = (factor, around) => {
    const at = around === undefined ? (spot === null ? (view[0] + view[1]) / 2 : spot) : around;
    look(at - (at - view[0]) / factor, at + (view[1] - at) / factor);
  };
  const move = (part) => look(view[0] + (view[1] - view[0]) * part, view[1] + (view[1] - view[0]) * part);

  // What stood at a moment, row by row, in the words of the bars themselves.
  const rows = [...svg.querySelectorAll(".row")].map((row) => ({
    name: row.dataset.name,
    bars: rects.filter(({ element }) => row.contains(element)).map(({ element, x, width }) => ({
      x, width, title: element.parentNode.querySelector("title").textContent,
    })),
    marks: marks.filter(({ element }) => row.contains(element)).map(({ element, x }) => ({
      x, title: element.querySelector("title").textContent,
    })),
  }));
  const rates = svg.querySelector(".rates");
  const counts = rates ? rates.dataset.counts.split(",").map((each) => each.split(" ").map(Number)) : [];
  const points = svg.querySelector(".points");
  let spots = null;
  const nearest = (x) => {
    if (!points) return null;
    spots = spots || [...points.querySelectorAll("path")].flatMap((path) =>
      [...path.getAttribute("d").matchAll(/M([\d.-]+) ([\d.-]+)/g)].map((found) => ({
        x: Number(found[1]), y: Number(found[2]), what: path.dataset.what,
      })));
    const near = 4 / scale(), found = new Map();
    for (const spot of spots) {
      if (Math.abs(spot.x - x) > near) continue;
      const known = found.get(spot.what);
      if (!known) found.set(spot.what, { many: 1, y: spot.y });
      else { known.many++; known.y = Math.min(known.y, spot.y); }
    }
    const { lowest, highest, height } = points.dataset;
    const took = (y) => {
      const nanos = 10 ** (Number(lowest) + (1 - y / Number(height)) * (Number(highest) - Number(lowest)));
      return nanos < 1e6 ? Math.round(nanos / 1e3) + " µs" : nanos < 1e9 ? Math.round(nanos / 1e6) + " ms" : (nanos / 1e9).toFixed(1) + " s";
    };
    return [...found].map(([what, { many, y }]) => many + " " + what + ", slowest about " + took(y)).join("; ");
  };

  function point(x) {
    spot = x;
    const shown = x !== null && x >= view[0] && x <= view[1];
    cursor.classList.toggle("none", !shown);
    if (!shown) { out.textContent = ""; return; }
    const at = seen(x).toFixed(1);
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    const said = [["at", named(time(x), Math.min(0.1, (time(view[1]) - time(view[0])) / 400))]];
    let last = "";
    for (const { name, bars, marks } of rows) {
      const near = 5 / scale();
      const here = bars.filter((bar) => x >= bar.x && x <= bar.x + Math.max(bar.width, 1 / scale())).map((bar) => bar.title)
        .concat(marks.filter((mark) => Math.abs(mark.x - x) <= near).map((mark) => mark.title));
      if (here.length) said.push([name || last, [...new Set(here)].slice(0, 4).join("; ")]);
      last = name || last;
    }
    const operations = nearest(x);
    if (operations) said.push(["latency", operations]);
    if (rates) {
      const width = Number(rates.dataset.width) / 1e9, bucket = counts[Math.floor(time(x) / width)];
      if (bucket) said.push(["throughput", bucket[0] + " answered, " + bucket[1] + " failed, " + bucket[2] + " unknown in " + named(width, width)]);
    }
    out.replaceChildren(...said.map(([name, text]) => {
      const line = document.createElement("div"), strong = document.createElement("b");
      strong.textContent = name;
      line.append(strong, " " + text);
      return line;
    }));
  }

  // From the pointer to a place of the whole drawing.
  const under = (event) => {
    const frame = svg.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * svg.viewBox.baseVal.width;
    return x < left || x > right ? null : view[0] + (x - left) / scale();
  };
  let held = null;
  svg.addEventListener("pointermove", (event) => {
    if (held && scale() > 1) {
      const frame = svg.getBoundingClientRect();
      const moved = (((event.clientX - held.x) / frame.width) * svg.viewBox.baseVal.width) / scale();
      look(held.view[0] - moved, held.view[1] - moved);
    }
    point(under(event));
  });
  svg.addEventListener("pointerdown", (event) => {
    point(under(event));
    if (event.pointerType === "mouse" && event.button === 0) held = { x: event.clientX, view: view.slice() };
  });
  svg.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse" && !held) point(null); });
  addEventListener("pointerup", () => { held = null; });
  svg.addEventListener("dblclick", (event) => { const at = under(event); if (at !== null) zoom(2, at); });
  svg.addEventListener("wheel", (event) => {
    // Without Ctrl the wheel moves the page, as everywhere; a pinch of a trackpad comes with it.
    const at = under(event);
    if (!(event.ctrlKey || event.metaKey) || at === null) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.3 : 1 / 1.3, at);
  }, { passive: false });

  const acts = {
    in: () => zoom(2), out: () => zoom(0.5), left: () => move(-0.25), right: () => move(0.25), all: () => look(left, right),
  };
  for (const button of box.querySelectorAll("[data-do]")) button.addEventListener("click", acts[button.dataset.do]);
  // What a pointer passes over is not read aloud; what the keys go to is.
  const scroll = box.querySelector(".scroll");
  svg.addEventListener("pointermove", () => out.setAttribute("aria-live", "off"));
  scroll.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    out.setAttribute("aria-live", "polite");
    const step = (view[1] - view[0]) * (event.shiftKey ? 0.1 : 0.01);
    const from = spot === null ? view[0] : spot;
    const go = (x) => {
      const at = Math.min(right, Math.max(left, x));
      if (at < view[0]) look(at, at + view[1] - view[0]);
      if (at > view[1]) look(at - view[1] + view[0], at);
      point(at);
      const place = (seen(at) / svg.viewBox.baseVal.width) * svg.clientWidth;
      if (place < scroll.scrollLeft || place > scroll.scrollLeft + scroll.clientWidth) scroll.scrollLeft = place - scroll.clientWidth / 2;
    };
    const keys = {
      "+": acts.in, "=": acts.in, "-": acts.out, "0": acts.all, Escape: () => point(null),
      ArrowLeft: () => go(from - step), ArrowRight: () => go(from + step), Home: () => go(left), End: () => go(right),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
})();
