// What can be done with an output. A setpoint is never shown as if it had been measured: the switch moves
// when the reading does.

import { attribute, h, text } from "./dom.js";
import { valueText } from "./format.js";

const DONE_MS = 8000;
const FAILED_MS = 60_000;
const WAIT_MS = 320_000;
// How long an output that somebody else holds is taken over by hand.
const OVERRIDE_S = 900;

export class Control {
  constructor(point) {
    this.point = point;
    this.outcome = h("span", { class: "outcome", role: "status" });
    this.inputs = [];
    this.release = h("button", { type: "button", class: "set", hidden: true, "aria-label": `Release ${this.label}`, on: { click: () => this.letGo() } }, "Release");
    this.override = h("button", { type: "button", class: "set", hidden: true, on: { click: () => this.takeOver() } }, `Take over for ${OVERRIDE_S / 60} min`);
    this.element = h("div", { class: "act" }, this.build(), this.release, this.override, this.outcome);
    this.show();
  }

  get label() {
    return this.point.label ?? this.point.name;
  }

  build() {
    if (this.point.kind !== "bool") return this.form();
    if (this.point.access === "w") {
      return h("span", { class: "pair" }, this.button("On", true), this.button("Off", false));
    }
    this.knob = h("button", { type: "button", class: "switch", role: "switch", "aria-label": this.label, on: { click: () => this.flip() } }, h("span", { class: "thumb" }));
    this.inputs.push(this.knob);
    return this.knob;
  }

  button(words, value) {
    const button = h("button", { type: "button", class: "set", "aria-label": `${this.label}: ${words}`, on: { click: () => this.send(value) } }, words);
    this.inputs.push(button);
    return button;
  }

  form() {
    const { kind, range, unit } = this.point;
    const numeric = kind !== "text";
    this.input = h("input", {
      class: "setpoint num", type: numeric ? "number" : "text", "aria-label": `Setpoint of ${this.label}`,
      required: true, autocomplete: "off", placeholder: numeric && range ? `${range[0]} … ${range[1]}` : "setpoint",
    });
    if (numeric) {
      this.input.step = kind === "integer" ? "1" : "any";
      if (range) [this.input.min, this.input.max] = range;
      // A turn of the wheel while scrolling must not change a setpoint.
      this.input.addEventListener("wheel", () => this.input.blur(), { passive: true });
    }
    const button = h("button", { type: "submit", class: "set" }, "Set");
    this.inputs.push(this.input, button);
    const submit = (event) => {
      event.preventDefault();
      if (this.form_.checkValidity()) this.send(numeric ? Number(this.input.value) : this.input.value);
      else this.tell("failed", range ? `between ${range[0]} and ${range[1]}${unit ? ` ${unit}` : ""}` : "not a valid setpoint");
    };
    this.form_ = h("form", { class: "setter", noValidate: true, on: { submit } }, this.input, button);
    return this.form_;
  }

  show() {
    if (!this.knob) return;
    const known = typeof this.point.value === "boolean";
    attribute(this.knob, "aria-checked", known ? this.point.value : "mixed");
  }

  flip() {
    this.send(this.point.value !== true);
  }

  /** What people, programs and remote clients hold can be let go of here; alarms and interlocks end by themselves. */
  setHolder(holder) {
    this.release.hidden = !["manual", "automatic", "remote"].includes(holder?.class);
    this.holder = holder;
    if (!holder) this.override.hidden = true;
  }

  /** What was refused because somebody who counts less holds the output can be held by hand, if that is meant. */
  takeOver() {
    this.override.hidden = true;
    return this.ask({ value: this.refused, for: OVERRIDE_S }, "taking over…");
  }

  letGo() {
    return this.ask({ release: true }, "releasing…");
  }

  send(value) {
    return this.ask({ value }, typeof value === "boolean" ? `switching ${value ? "on" : "off"}…` : "setting…");
  }

  async ask(what, words) {
    if (this.underWay) return;
    this.busy(true);
    this.override.hidden = true;
    this.tell("busy", words);
    try {
      const answer = await fetch("/api/v1/command", {
        method: "POST", headers: { "Content-Type": "application/json" }, signal: AbortSignal.timeout(WAIT_MS),
        body: JSON.stringify({ point: this.point.name, ...what }),
      });
      const result = await answer.json();
      if (result.released) this.tell("done", "released");
      else this.tell(result.succeeded ? "done" : "failed", this.words(result));
      if (result.succeeded && this.input) this.input.value = "";
      if (result.outcome === "rejected" && what.for === undefined && ["alarm", "automatic", "remote"].includes(this.holder?.class)) {
        this.refused = what.value;
        this.override.hidden = false;
      }
    } catch {
      this.tell("failed", "no answer from the gateway; the output may or may not have changed");
    }
    this.busy(false);
  }

  /** The answer in words; what was read back is written as the page writes values. */
  words(result) {
    if (result.readBack === undefined || result.readBack === null) return result.detail;
    const unit = this.point.unit ? ` ${this.point.unit}` : "";
    return `${result.outcome}: reads ${valueText({ kind: this.point.kind }, result.readBack)}${unit}`;
  }

  busy(busy) {
    this.underWay = busy;
    for (const input of this.inputs) attribute(input, "aria-disabled", busy || null);
    attribute(this.element, "aria-busy", busy || null);
  }

  tell(kind, words) {
    clearTimeout(this.timer);
    attribute(this.outcome, "data-kind", kind);
    attribute(this.outcome, "title", words);
    text(this.outcome, words);
    if (kind !== "busy") this.timer = setTimeout(() => text(this.outcome, ""), kind === "done" ? DONE_MS : FAILED_MS);
  }
}
