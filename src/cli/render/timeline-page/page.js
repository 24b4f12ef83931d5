/* The script of the timeline page. Draws what is visible on one canvas; all text that comes from the run is drawn or set as text, never as markup. */
"use strict";
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const texts = data.texts;
  const kinds = ["wait", "run", "pause", "lost", "skip"];
  const words = {
    wait: "waiting for a lock",
    succeeded: "succeeded",
    running: "running",
    failed: "failed",
    attempt: "attempt that failed",
    lost: "lost when the run died",
    cancelled: "cancelled",
    skip: "skipped",
    pause: "pause before another attempt",
  };
  const steps = data.steps.map(([job, name, status, model, attempts, text, flat]) => {
    const segments = [];
    for (let at = 0; at < flat.length; at += 5)
      segments.push({
        kind: kinds[flat[at]],
        from: flat[at + 1],
        to: flat[at + 2] < 0 ? data.duration : flat[at + 2],
        isOpen: flat[at + 2] < 0,
        lock: texts[flat[at + 3]],
        by: texts[flat[at + 4]],
      });
    return { job, name, status: data.statuses[status], model: texts[model], attempts, text: texts[text], segments };
  });
  const colorOf = (step, at) => {
    const { kind, isOpen } = step.segments[at];
    if (kind !== "run") return kind;
    if (isOpen) return "running";
    if (at < step.segments.length - 1) return "attempt";
    return step.status in words ? step.status : "cancelled";
  };
  for (const step of steps)
    for (let at = 0; at < step.segments.length; at++) step.segments[at].color = colorOf(step, at);

  /** A row is a job's heading or a step. */
  const rows = [];
  const rowOfStep = [];
  let lastJob = -1;
  for (const [index, step] of steps.entries()) {
    if (step.job !== lastJob && data.jobs.length > 1) rows.push({ job: step.job });
    lastJob = step.job;
    rowOfStep[index] = rows.length;
    rows.push({ step, index });
  }

  const canvas = document.getElementById("canvas");
  const pen = canvas.getContext("2d", { alpha: false });
  const tip = document.getElementById("tip");
  const byId = (id) => document.getElementById(id);
  const axis = 26;
  const begin =
    Math.min(0, ...[...new Set(steps.map(({ segments }) => segments[0]?.from ?? 0))].slice(0, 1000)) -
    (data.waited > 0 ? data.waited : 0);
  const whole = { from: begin, to: Math.max(data.duration, begin + 1) };
  const view = { from: whole.from, to: whole.to, top: 0, row: 1 };
  let colors = {};
  let width = 0;
  let height = 0;
  let gutter = 0;
  let chosen = -1;
  let found;
  let isDue = false;

  /** Distances between marks of the time axis, in milliseconds. */
  const ticks = [1, 1000]
    .flatMap((unit) => [1, 2, 5, 10, 20, 50, 100, 200, 500].map((by) => by * unit))
    .filter((ms) => ms <= 5000);
  ticks.push(
    ...[10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400].map((seconds) => seconds * 1000),
  );

  const time = (ms) => {
    const size = Math.abs(ms);
    if (size < 1000) return `${Math.round(ms)} ms`;
    if (size < 60000) return `${(ms / 1000).toFixed(1)} s`;
    if (size < 3600000) return `${Math.floor(ms / 60000)} m ${Math.round((ms % 60000) / 1000)} s`;
    return `${Math.floor(ms / 3600000)} h ${Math.round((ms % 3600000) / 60000)} m`;
  };
  const xOf = (ms) => gutter + ((ms - view.from) / (view.to - view.from)) * (width - gutter - 8);
  const timeAt = (x) => view.from + ((x - gutter) / (width - gutter - 8)) * (view.to - view.from);
  const least = () => Math.min(18, (height - axis - 4) / Math.max(1, rows.length));

  function readColors() {
    const style = getComputedStyle(document.documentElement);
    const names = ["back", "band", "ink", "soft", "line", "mark", ...Object.keys(words)];
    colors = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }

  function clamp() {
    const span = Math.min(whole.to - whole.from, Math.max(view.to - view.from, 0.5));
    view.from = Math.max(whole.from, Math.min(view.from, whole.to - span));
    view.to = view.from + span;
    view.row = Math.max(least(), Math.min(28, view.row));
    view.top = Math.max(0, Math.min(view.top, rows.length * view.row - (height - axis - 4)));
  }

  function resize() {
    const box = canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const isWhole = view.row <= least() + 0.001;
    width = box.width;
    height = box.height;
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (isWhole) view.row = least();
    later();
  }

  function later() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(draw);
  }

  function draw() {
    isDue = false;
    clamp();
    gutter = view.row >= 9 ? Math.min(260, width * 0.28) : 8;
    pen.globalAlpha = 1;
    pen.fillStyle = colors.back;
    pen.fillRect(0, 0, width, height);
    drawAxis();
    pen.save();
    pen.beginPath();
    pen.rect(0, axis, width, height - axis);
    pen.clip();
    const first = Math.max(0, Math.floor(view.top / view.row));
    const last = Math.min(rows.length - 1, Math.ceil((view.top + height - axis) / view.row));
    if (gutter > 8) drawLabels(first, last);
    // What is bad comes last, so that it is seen where many rows share a line of pixels.
    const drawn = drawBars(first, last, false) + drawBars(first, last, true);
    pen.restore();
    Object.assign(canvas.dataset, {
      drawn,
      from: view.from,
      to: view.to,
      row: view.row,
      top: view.top,
      gutter,
      axis,
      chosen,
    });
  }

  function drawAxis() {
    pen.fillStyle = colors.soft;
    pen.strokeStyle = colors.line;
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const span = view.to - view.from;
    const rough = span / Math.max(2, (width - gutter) / 110);
    const tick = ticks.find((one) => one >= rough) ?? 86400000 * Math.ceil(rough / 86400000);
    for (let at = Math.ceil(view.from / tick) * tick; at <= view.to; at += tick) {
      const x = Math.round(xOf(at)) + 0.5;
      pen.beginPath();
      pen.moveTo(x, axis - 6);
      pen.lineTo(x, height);
      pen.stroke();
      if (x < width - 60) pen.fillText(time(at), x + 3, axis / 2);
    }
    if (data.waited > 0) {
      pen.fillStyle = colors.wait;
      const x = Math.max(gutter, xOf(-data.waited));
      pen.fillRect(x, axis - 5, Math.max(0, xOf(0) - x), 4);
    }
  }

  function drawLabels(first, last) {
    pen.textBaseline = "middle";
    pen.save();
    pen.beginPath();
    pen.rect(0, axis, gutter - 6, height);
    pen.clip();
    for (let at = first; at <= last; at++) {
      const { step, job } = rows[at];
      const y = axis + at * view.row - view.top + view.row / 2;
      const size = Math.min(12, view.row - 1);
      pen.font = `${step === undefined ? "bold " : ""}${size}px system-ui, sans-serif`;
      pen.fillStyle = step === undefined ? colors.ink : step.status === "failed" ? colors.failed : colors.soft;
      pen.globalAlpha = step === undefined || isLit(rows[at].index) ? 1 : 0.25;
      pen.fillText(step === undefined ? data.jobs[job] : step.name, step === undefined ? 8 : 16, y);
    }
    pen.restore();
  }

  const bad = new Set(["failed", "lost", "wait", "attempt"]);
  const isLit = (index) => found === undefined || found.has(index);

  function drawBars(first, last, isBad) {
    const gap = view.row >= 6 ? Math.min(3, view.row * 0.15) : 0;
    const thin = isBad ? 2 : 1;
    const tall = Math.max(thin, view.row - 2 * gap);
    let count = 0;
    for (let at = first; at <= last; at++) {
      const { step, index } = rows[at];
      const y = axis + at * view.row - view.top;
      if (step === undefined || index === chosen) {
        if (!isBad) {
          pen.globalAlpha = 1;
          pen.fillStyle = step === undefined ? colors.band : colors.mark;
          pen.fillRect(gutter, y, width, Math.max(1, view.row));
        }
        if (step === undefined) continue;
      }
      pen.globalAlpha = isLit(index) ? 1 : 0.15;
      for (const { from, to, color } of step.segments) {
        if (bad.has(color) !== isBad || to < view.from || from > view.to) continue;
        const left = Math.max(gutter, xOf(from));
        const right = Math.min(width, xOf(to));
        pen.fillStyle = colors[color];
        pen.fillRect(left, y + gap, Math.max(color === "skip" ? 3 : thin, right - left), tall);
        count++;
      }
    }
    pen.globalAlpha = 1;
    return count;
  }

  function about(step) {
    const sum = (kind) => step.segments.reduce((all, one) => (one.kind === kind ? all + one.to - one.from : all), 0);
    const waits = step.segments.filter(({ kind }) => kind === "wait");
    return [
      `${data.jobs[step.job]} / ${step.name}: ${step.status}`,
      step.model === undefined ? undefined : `model ${step.model}`,
      step.segments.length === 0 ? undefined : `began at ${time(step.segments[0].from)}`,
      sum("run") + sum("lost") > 0
        ? `worked ${time(sum("run") + sum("lost"))}${step.attempts > 1 ? ` in ${step.attempts} attempts` : ""}`
        : undefined,
      ...waits.map(
        (one) =>
          `waited ${time(one.to - one.from)} for the lock on ${one.lock ?? "?"}${one.by === undefined ? "" : `, held by ${one.by}`}`,
      ),
      step.text,
    ]
      .filter((line) => line !== undefined)
      .join("\n");
  }

  function stepAt(y) {
    return y < axis ? undefined : rows[Math.floor((y - axis + view.top) / view.row)];
  }

  function choose(index) {
    if (index < 0 || index >= steps.length) return;
    chosen = index;
    if (view.row < 12) view.row = 18;
    const y = rowOfStep[index] * view.row;
    const room = height - axis - view.row;
    if (y < view.top || y > view.top + room) view.top = y - room / 2;
    const { segments } = steps[index];
    if (segments.length > 0) {
      const span = view.to - view.from;
      const from = segments[0].from;
      if (from > view.to || segments[segments.length - 1].to < view.from) {
        view.from = from - span * 0.1;
        view.to = view.from + span;
      }
    }
    byId("chosen").textContent = about(steps[index]);
    later();
  }

  /** Where keys zoom to: the chosen step, where it is in sight, else the middle. */
  function center() {
    const at = steps[chosen]?.segments[0]?.from;
    return at === undefined || at < view.from || at > view.to ? (view.from + view.to) / 2 : at;
  }

  function zoom(by, at = center()) {
    const span = Math.min(whole.to - whole.from, Math.max((view.to - view.from) * by, 0.5));
    const share = (at - view.from) / (view.to - view.from);
    view.from = at - span * share;
    view.to = view.from + span;
    later();
  }

  function stretch(by, y = (height - axis) / 2) {
    const at = (view.top + y) / view.row;
    view.row = Math.max(least(), Math.min(28, view.row * by));
    view.top = at * view.row - y;
    later();
  }

  function pan(share) {
    const by = (view.to - view.from) * share;
    const room = by < 0 ? whole.from - view.from : whole.to - view.to;
    const real = by < 0 ? Math.max(by, room) : Math.min(by, room);
    view.from += real;
    view.to += real;
    later();
  }

  function fit() {
    Object.assign(view, whole, { top: 0, row: least() });
    later();
  }

  function next(fits, direction = 1) {
    for (let count = 1; count <= steps.length; count++) {
      const start = chosen < 0 ? (direction > 0 ? -1 : steps.length) : chosen;
      const index = (start + direction * count + 2 * steps.length) % steps.length;
      if (fits(steps[index], index)) return choose(index);
    }
  }
  const isFound = (_, index) => found !== undefined && found.has(index);

  byId("search").addEventListener("input", ({ target }) => {
    const wanted = target.value.trim().toLowerCase();
    found = wanted === "" ? undefined : new Set();
    if (found !== undefined)
      for (const [index, { name }] of steps.entries()) if (name.toLowerCase().includes(wanted)) found.add(index);
    byId("found").textContent = found === undefined ? "" : `${found.size} found`;
    later();
  });
  byId("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter") next(isFound, event.shiftKey ? -1 : 1);
    if (event.key === "Escape") canvas.focus();
    event.stopPropagation();
  });

  const keys = {
    "+": () => zoom(0.5),
    "=": () => zoom(0.5),
    "-": () => zoom(2),
    "]": () => stretch(1.5),
    "[": () => stretch(1 / 1.5),
    0: fit,
    n: () => next(isFound),
    N: () => next(isFound, -1),
    f: () => next(({ status }) => status === "failed" || status === "interrupted"),
    F: () => next(({ status }) => status === "failed" || status === "interrupted", -1),
    "/": () => byId("search").focus(),
    ArrowDown: () => choose(chosen + 1),
    ArrowUp: () => choose(chosen < 0 ? steps.length - 1 : chosen - 1),
    PageDown: () => ((view.top += (height - axis) * 0.9), later()),
    PageUp: () => ((view.top -= (height - axis) * 0.9), later()),
    ArrowLeft: () => pan(-0.2),
    ArrowRight: () => pan(0.2),
    Home: () => choose(0),
    End: () => choose(steps.length - 1),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = Object.hasOwn(keys, event.key) ? keys[event.key] : undefined;
    if (act === undefined) return;
    event.preventDefault();
    act();
  });
  const buttons = {
    less: () => zoom(0.5),
    more: () => zoom(2),
    taller: () => stretch(1.5),
    flatter: () => stretch(1 / 1.5),
    fit,
  };
  for (const [id, act] of Object.entries(buttons)) byId(id).addEventListener("click", act);

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY * 0.002), timeAt(event.offsetX));
      else if (event.altKey) stretch(Math.exp(-event.deltaY * 0.002), event.offsetY - axis);
      else {
        const along = event.shiftKey ? event.deltaY : event.deltaX;
        if (along !== 0) pan(along / Math.max(1, width - gutter));
        if (!event.shiftKey) view.top += event.deltaY;
        later();
      }
    },
    { passive: false },
  );
  let drag;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.offsetX, y: event.offsetY, from: view.from, to: view.to, top: view.top, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag === undefined) return hover(event);
    const x = event.offsetX - drag.x;
    const y = event.offsetY - drag.y;
    if (Math.abs(x) + Math.abs(y) > 3) drag.moved = true;
    const by = (-x / Math.max(1, width - gutter - 8)) * (drag.to - drag.from);
    view.from = drag.from + by;
    view.to = drag.to + by;
    view.top = drag.top - y;
    later();
  });
  canvas.addEventListener("pointerup", (event) => {
    const row = stepAt(event.offsetY);
    if (drag !== undefined && !drag.moved && row?.step !== undefined) choose(row.index);
    drag = undefined;
  });
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));

  function hover({ offsetX, offsetY }) {
    const row = stepAt(offsetY);
    tip.hidden = row?.step === undefined;
    if (row?.step === undefined) return;
    tip.textContent = about(row.step);
    tip.style.left = `${Math.max(4, Math.min(offsetX + 14, width - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(4, Math.min(offsetY + 14, height - tip.offsetHeight - 8))}px`;
  }

  function writeHead() {
    byId("name").textContent = data.name;
    const count = (status) => steps.filter((step) => step.status === status).length;
    byId("about").textContent =
      `${data.status}, ${time(data.duration)}, ${steps.length} steps${count("failed") > 0 ? `, ${count("failed")} failed` : ""}, begun ${data.startedAt}, run ${data.id}`;
    const used = new Set(steps.flatMap(({ segments }) => segments.map(({ color }) => color)));
    if (data.waited > 0) used.add("wait");
    for (const name of Object.keys(words).filter((one) => used.has(one))) {
      const item = document.createElement("li");
      const box = document.createElement("i");
      box.style.background = `var(--${name})`;
      item.append(box, words[name]);
      byId("legend").append(item);
    }
  }

  readColors();
  writeHead();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (readColors(), later()));
  new ResizeObserver(resize).observe(canvas);
  view.row = 0;
  resize();
  // What is drawn in this frame is on the screen when the next one begins.
  requestAnimationFrame(() =>
    requestAnimationFrame(
      () => (document.documentElement.dataset.paintedAfter = String(Math.round(performance.now()))),
    ),
  );
}
