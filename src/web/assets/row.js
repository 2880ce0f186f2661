// One point's row: name, trend, value, quality, age, and what can be done with it.

import { attribute, h, svg, text } from "./dom.js";
import { ageText, reasonWords, spanText, valueText } from "./format.js";
import { Control } from "./control.js";

const QUALITIES = { good: "Good", uncertain: "Uncertain", bad: "Bad" };
const TREND = { width: 88, height: 22, pad: 2 };
// After this many missed polls an age is shown as late.
const LATE_POLLS = 3;
const LATE_SLACK_MS = 2000;

const HOLDERS = { interlock: "interlock", manual: "by hand", alarm: "alarm", automatic: "automatic", remote: "remote" };

function holderWords(point, { class: kind, owner, value, secondsLeft, reason }) {
  const at = value === null || value === undefined ? "as it is" : valueText(point, value);
  const left = secondsLeft === null || secondsLeft === undefined ? "" : `, ${spanText(secondsLeft * 1000)} more`;
  return `${HOLDERS[kind] ?? kind}: ${owner}, ${at}${left}${reason ? ` (${reason})` : ""}`;
}

export class Row {
  constructor(point) {
    this.point = point;
    this.line = svg("polyline", { fill: "none" });
    this.trend = svg("svg", { class: "trend", "aria-hidden": "true", width: TREND.width, height: TREND.height }, this.line);
    this.value = h("span", { class: "value num" });
    this.unit = h("span", { class: "unit" }, point.unit ?? "");
    this.quality = h("span", { class: "quality" });
    this.age = h("span", { class: "age num" });
    this.controls = h("div", { class: "control" });
    this.flag = h("span", { class: "chip chip-alarm", hidden: true }, "Alarm");
    this.held = h("span", { class: "chip chip-state", hidden: true });
    const label = point.label ?? point.leaf;
    this.name = h("button", { type: "button", class: "name", "aria-expanded": "false", on: { click: () => this.toggle() } },
      h("span", { class: "label" }, label), point.label ? h("span", { class: "leaf" }, point.leaf) : null);
    this.element = h("div", { class: "row", role: "listitem", "data-point": point.name },
      h("div", { class: "who" }, this.name, this.flag, this.held), this.trend,
      h("div", { class: "reading" }, this.value, this.unit), this.quality, this.age, this.controls);
    this.show();
  }

  show() {
    const { point } = this;
    text(this.value, valueText(point, point.value));
    attribute(this.value, "title", typeof point.value === "number" && point.kind === "float" ? String(point.value) : null);
    const on = typeof point.value === "boolean" ? String(point.value) : null;
    attribute(this.value, "data-on", on);
    const silent = point.access === "w";
    attribute(this.element, "data-quality", silent ? "none" : point.quality);
    const reason = reasonWords(point.reason);
    const words = silent ? "Write only" : QUALITIES[point.quality] ?? point.quality;
    text(this.quality, reason && !silent ? `${words}: ${reason}` : words);
    this.tick(performance.now());
    this.draw();
    this.actions?.show();
    if (this.details) this.showDetails();
  }

  tick(now) {
    const { point } = this;
    const age = point.at === null || point.at === undefined ? null : Math.max(0, now - point.at);
    text(this.age, point.access === "w" && age === null ? "" : ageText(age));
    const late = age !== null && age > LATE_POLLS * point.pollMs + LATE_SLACK_MS;
    this.age.classList.toggle("late", late && point.access !== "w");
  }

  /** The last readings as a line; flat ones lie in the middle. */
  draw() {
    const { history } = this.point;
    if (history.length < 2) return;
    const low = Math.min(...history);
    const span = Math.max(...history) - low;
    const step = (TREND.width - 2 * TREND.pad) / 59;
    const left = TREND.width - TREND.pad - step * (history.length - 1);
    const y = (value) => (span === 0 ? TREND.height / 2 : TREND.height - TREND.pad - ((value - low) / span) * (TREND.height - 2 * TREND.pad));
    attribute(this.line, "points", history.map((value, i) => `${(left + i * step).toFixed(1)},${y(value).toFixed(1)}`).join(" "));
  }

  setControl(allowed) {
    this.controls.replaceChildren();
    this.actions = null;
    if (this.point.access === "r") return;
    if (!allowed) {
      this.controls.append(h("span", { class: "muted" }, "read only here"));
      return;
    }
    this.actions = new Control(this.point);
    this.controls.append(this.actions.element);
  }

  setAlarm(alarm) {
    this.flag.hidden = !alarm;
    attribute(this.element, "data-alarm", alarm ? alarm.severity : null);
    if (alarm) this.flag.title = `${alarm.name}: ${alarm.message}`;
  }

  /** Who holds the output: the first counts, the others wait behind it. */
  setOutput(output) {
    const [holder] = output?.holders ?? [];
    this.held.hidden = !holder;
    if (holder) {
      text(this.held, `Held: ${HOLDERS[holder.class] ?? holder.class}`);
      this.held.title = output.holders.map((own) => holderWords(this.point, own)).join("\n");
    }
    this.holder = holder ? holderWords(this.point, holder) : null;
    this.way = output?.ramp ? `at ${output.ramp.at.toLocaleString()}, ${spanText(output.ramp.secondsLeft * 1000)} more` : null;
    this.actions?.setHolder(holder);
    if (this.details) this.showDetails();
  }

  setHidden(hidden) {
    this.element.hidden = hidden;
  }

  toggle() {
    if (this.details) {
      this.details.remove();
      this.details = null;
    } else {
      this.details = h("dl", { class: "details" });
      this.element.append(this.details);
      this.showDetails();
    }
    attribute(this.name, "aria-expanded", this.details !== null);
  }

  showDetails() {
    const { point } = this;
    const at = point.at === null ? "never" : new Date(Date.now() - (performance.now() - point.at)).toLocaleTimeString("en-GB");
    const facts = [
      ["Topic", point.topic], ["Point", point.name], ["Channel", point.channel],
      ["Read", point.access === "w" ? "never, write only" : `every ${point.pollMs < 1000 ? `${point.pollMs} ms` : spanText(point.pollMs)}`],
      ["Range", point.range ? `${point.range[0]} … ${point.range[1]}${point.unit ? ` ${point.unit}` : ""}` : null],
      ["Value read at", at], ["Held by", this.holder ?? null], ["On its way", this.way ?? null],
    ].filter(([, value]) => value !== null);
    const wanted = JSON.stringify(facts);
    if (this.facts === wanted && this.details.childElementCount) return;
    this.facts = wanted;
    this.details.replaceChildren(...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }
}
