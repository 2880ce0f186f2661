// Live values as a tree of topics.
//
// Rows come in blocks that are built when they come into sight and, on large plants, taken away again:
// the page stays light with ten thousand points.

import { isActive } from "./alarms.js";
import { attribute, h, memory, text } from "./dom.js";
import { count } from "./format.js";
import { Row } from "./row.js";

const BLOCK = 50;
// Up to this many points everything is built and open: the browser's own search works then.
const SMALL_PLANT = 400;
const CHOICES = [["all", "All"], ["trouble", "Not good"], ["writable", "Writable"], ["alarm", "In alarm"]];

export class LiveView {
  constructor(root) {
    this.points = [];
    this.dirty = new Set();
    this.control = false;
    this.alarmed = new Map();
    this.outputs = new Map();
    this.folded = new Set(JSON.parse(memory.get("folded") ?? "[]"));
    this.unfolded = new Set();
    this.choice = "all";
    this.sight = new IntersectionObserver((entries) => this.sighted(entries), { rootMargin: "400px 0px" });
    this.search = h("input", {
      type: "search", class: "search", placeholder: "Filter by name or topic", "aria-label": "Filter by name or topic",
      autocomplete: "off", spellcheck: false, on: { input: () => this.filter() },
    });
    this.choices = h("div", { class: "choices", role: "group", "aria-label": "Which points" }, ...CHOICES.map(([id, words]) =>
      h("button", { type: "button", "data-choice": id, "aria-pressed": String(id === "all"), on: { click: () => this.choose(id) } }, words)));
    this.fold = h("button", { type: "button", class: "quiet fold", on: { click: () => this.foldAll() } }, "Collapse all");
    this.found = h("span", { class: "muted found", role: "status" });
    this.readOnly = h("p", { class: "hint", hidden: true },
      "Read only: commands are off because this page is open to the network without a login. ",
      h("code", {}, "web: control: true"), " permits them to everyone who reaches it.");
    this.tree = h("div", { class: "tree" }, h("p", { class: "empty" }, "Waiting for the gateway…"));
    this.tree.addEventListener("keydown", (event) => this.keys(event));
    root.append(
      h("div", { class: "tools" }, this.search, this.choices, this.fold, this.found),
      this.readOnly,
      h("div", { class: "row columns", "aria-hidden": "true" }, ...["Point", "", "Value", "Quality", "Age", "Control"].map((name) => h("span", {}, name))),
      this.tree);
    addEventListener("keydown", (event) => this.shortcuts(event));
  }

  /** A new snapshot. The tree is built anew only when the points themselves have changed. */
  reset(points, site) {
    const shape = JSON.stringify([site, points.map((p) => [p.name, p.topic, p.label, p.kind, p.unit, p.access, p.range])]);
    const now = performance.now();
    if (shape !== this.shape) {
      this.shape = shape;
      this.points = points.map((point) => ({ ...point, history: [], row: null }));
      this.build(site);
    }
    points.forEach((news, index) => {
      const { value, quality, reason } = news;
      this.take(this.points[index], value, quality, reason, news.ageMs === null ? null : now - news.ageMs);
    });
    this.schedule();
  }

  /** Short readings: `[id, value, ageMs]`, and quality and reason when not good. */
  update(readings) {
    const now = performance.now();
    for (const [id, value, age, quality = "good", reason = null] of readings) {
      const point = this.points[id];
      if (point) this.take(point, value, quality, reason, age === null ? null : now - age);
    }
    this.schedule();
  }

  take(point, value, quality, reason, at) {
    Object.assign(point, { value, quality, reason, at });
    if (typeof value === "number" && quality !== "bad") {
      point.history.push(value);
      if (point.history.length > 60) point.history.shift();
    }
    if (point.row) this.dirty.add(point);
  }

  schedule() {
    if (this.frame || this.dirty.size === 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      for (const point of this.dirty) point.row?.show();
      this.dirty.clear();
    });
  }

  setControl(control) {
    this.readOnly.hidden = control || !this.points.some((point) => point.access !== "r");
    if (control === this.control) return;
    this.control = control;
    for (const point of this.points) point.row?.setControl(control);
  }

  setOutputs(outputs) {
    this.outputs = new Map(outputs.map((output) => [output.name, output]));
    for (const point of this.points) point.row?.setOutput(this.outputs.get(point.name));
  }

  setAlarms(alarms) {
    this.alarmed = new Map(alarms.filter(isActive).map((alarm) => [alarm.point, alarm]));
    for (const point of this.points) point.row?.setAlarm(this.alarmed.get(point.name));
    if (this.choice === "alarm") this.filter();
    this.summarise();
  }

  visible(visible) {
    this.shown = visible;
  }

  tick() {
    if (!this.shown) return;
    const now = performance.now();
    for (const point of this.points) point.row?.tick(now);
    if (this.choice === "trouble") this.filter();
    this.summarise();
  }

  /** Shows one topic and nothing else. */
  show(topic) {
    this.search.value = topic;
    this.choose("all");
    this.search.focus();
  }

  build(site) {
    this.sight.disconnect();
    this.root = group("", "");
    for (const point of this.points) {
      const path = point.topic.startsWith(`${site}/`) ? point.topic.slice(site.length + 1) : point.topic;
      const levels = path.split("/");
      point.leaf = levels.pop();
      point.text = `${point.label ?? ""} ${point.name} ${point.topic}`.toLowerCase();
      let node = this.root;
      for (const level of levels) {
        if (!node.groups.has(level)) node.groups.set(level, group(level, `${node.path}/${level}`));
        node = node.groups.get(level);
      }
      node.points.push(point);
    }
    compress(this.root);
    this.groups = [];
    this.tree.replaceChildren(...this.content(this.root, 2));
    if (this.points.length === 0) {
      this.tree.append(h("p", { class: "empty" }, "No points are configured. Add a device with points under `devices:`."));
    }
    this.filter();
  }

  /** The blocks and groups below a group. */
  content(node, level) {
    const blocks = [];
    for (let i = 0; i < node.points.length; i += BLOCK) {
      const element = h("div", { class: "block", role: "list" });
      const block = { element, points: node.points.slice(i, i + BLOCK), built: false };
      element.block = block;
      node.blocks.push(block);
      blocks.push(element);
    }
    return [...blocks, ...[...node.groups.values()].map((child) => this.group(child, level))];
  }

  group(node, level) {
    node.summary = h("span", { class: "summary muted" });
    node.trouble = h("span", { class: "chip chip-bad", hidden: true });
    node.alarm = h("span", { class: "chip chip-alarm", hidden: true });
    node.body = h("div", { class: "group-body" }, ...this.content(node, level + 1));
    node.button = h("button", { type: "button", class: "group-button", on: { click: () => this.toggle(node) } },
      h("span", { class: "chevron", "aria-hidden": "true" }), h("span", { class: "group-name" }, node.name), node.summary, node.alarm, node.trouble);
    node.element = h("section", { class: "group" }, h(`h${Math.min(level, 6)}`, {}, node.button), node.body);
    this.groups.push(node);
    return node.element;
  }

  isOpen(node) {
    if (this.filtering) return true;
    return this.points.length <= SMALL_PLANT ? !this.folded.has(node.path) : this.unfolded.has(node.path);
  }

  toggle(node, open = !this.isOpen(node)) {
    const set = this.points.length <= SMALL_PLANT ? this.folded : this.unfolded;
    if (open === (set === this.unfolded)) set.add(node.path);
    else set.delete(node.path);
    memory.set("folded", JSON.stringify([...this.folded]));
    this.arrange();
  }

  foldAll() {
    const open = !this.groups.some((node) => this.isOpen(node));
    for (const node of this.groups) this.toggle(node, open);
  }

  choose(id) {
    this.choice = id;
    for (const button of this.choices.children) attribute(button, "aria-pressed", button.dataset.choice === id);
    this.filter();
  }

  matches(point, words) {
    if (this.choice === "trouble" && (point.quality === "good" || point.access === "w")) return false;
    if (this.choice === "writable" && point.access === "r") return false;
    if (this.choice === "alarm" && !this.alarmed.has(point.name)) return false;
    return words.every((word) => point.text.includes(word));
  }

  filter() {
    if (!this.root) return;
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.filtering = words.length > 0 || this.choice !== "all";
    let found = 0;
    for (const point of this.points) {
      point.hidden = !this.matches(point, words);
      if (!point.hidden) found += 1;
      point.row?.setHidden(point.hidden);
    }
    text(this.found, this.filtering ? `${count(found)} of ${count(this.points.length)} points` : "");
    this.arrange();
  }

  /** Which groups and blocks are there to be seen. */
  arrange() {
    const walk = (node) => {
      let any = false;
      for (const block of node.blocks) {
        block.count = block.points.filter((point) => !point.hidden).length;
        block.element.hidden = block.count === 0;
        if (!block.built) block.element.style.setProperty("--rows", block.count);
        any ||= block.count > 0;
      }
      for (const child of node.groups.values()) any = walk(child) || any;
      if (node.element) {
        const open = this.isOpen(node);
        node.element.hidden = !any;
        node.body.hidden = !open;
        attribute(node.button, "aria-expanded", open);
      }
      for (const block of node.blocks) this.sight.observe(block.element);
      return any;
    };
    walk(this.root);
    text(this.fold, this.groups.some((node) => this.isOpen(node)) ? "Collapse all" : "Expand all");
    this.fold.hidden = this.filtering || this.groups.length === 0;
    this.summarise();
  }

  sighted(entries) {
    for (const { target, isIntersecting } of entries) {
      const block = target.block;
      if (isIntersecting && !block.built) this.fill(block);
      else if (!isIntersecting && block.built && this.points.length > SMALL_PLANT) clear(block);
    }
  }

  fill(block) {
    block.built = true;
    for (const point of block.points) {
      point.row = new Row(point);
      point.row.setControl(this.control);
      point.row.setAlarm(this.alarmed.get(point.name));
      point.row.setOutput(this.outputs.get(point.name));
      point.row.setHidden(point.hidden);
    }
    block.element.replaceChildren(...block.points.map((point) => point.row.element));
    block.element.classList.add("built");
  }

  /** How many points each group holds and how many are in trouble. */
  summarise() {
    if (!this.root) return;
    const walk = (node) => {
      const sum = { points: node.points.length, bad: 0, alarms: 0 };
      for (const point of node.points) {
        if (point.quality !== "good" && point.access !== "w") sum.bad += 1;
        if (this.alarmed.has(point.name)) sum.alarms += 1;
      }
      for (const child of node.groups.values()) {
        const below = walk(child);
        for (const key of Object.keys(sum)) sum[key] += below[key];
      }
      if (node.element) {
        text(node.summary, `${count(sum.points)} ${sum.points === 1 ? "point" : "points"}`);
        node.trouble.hidden = sum.bad === 0;
        text(node.trouble, `${count(sum.bad)} not good`);
        node.alarm.hidden = sum.alarms === 0;
        text(node.alarm, `${count(sum.alarms)} ${sum.alarms === 1 ? "alarm" : "alarms"}`);
      }
      return sum;
    };
    walk(this.root);
  }

  /** Arrow keys on group headings: up and down move, left and right close and open. */
  keys(event) {
    const button = event.target.closest?.(".group-button");
    if (!button || event.altKey || event.ctrlKey || event.metaKey) return;
    const node = this.groups.find((group) => group.button === button);
    const seen = this.groups.map((group) => group.button).filter((other) => other.offsetParent)
      .sort((a, b) => (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
    const index = seen.indexOf(button);
    const act = {
      ArrowDown: () => seen[index + 1]?.focus(),
      ArrowUp: () => seen[index - 1]?.focus(),
      ArrowRight: () => this.toggle(node, true),
      ArrowLeft: () => this.toggle(node, false),
      Home: () => seen[0]?.focus(),
      End: () => seen.at(-1)?.focus(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** `/` goes to the filter, Escape empties it. */
  shortcuts(event) {
    if (!this.shown) return;
    const typing = event.target.closest?.("input, textarea, select");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      this.search.focus();
    } else if (event.key === "Escape" && event.target === this.search) {
      this.search.value = "";
      this.filter();
    }
  }
}

function group(name, path) {
  return { name, path, groups: new Map(), points: [], blocks: [] };
}

/** A group that holds nothing but one group is shown as one line with it. */
function compress(node) {
  for (const child of node.groups.values()) {
    while (child.points.length === 0 && child.groups.size === 1) {
      const [only] = child.groups.values();
      Object.assign(child, { name: `${child.name}/${only.name}`, path: only.path, groups: only.groups, points: only.points });
    }
    compress(child);
  }
}

/** Takes a block's rows away, keeping its height; not while someone types in it. */
function clear(block) {
  if (block.element.contains(document.activeElement)) return;
  block.element.style.setProperty("--height", `${block.element.offsetHeight}px`);
  block.built = false;
  for (const point of block.points) point.row = null;
  block.element.replaceChildren();
  block.element.classList.remove("built");
}
