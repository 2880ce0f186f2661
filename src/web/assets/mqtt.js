// What the views of MQTT clients and retained messages share: asking the API, pages, sizes.

import { h, text } from "./dom.js";
import { count } from "./format.js";

const WAIT_MS = 10_000;
const TYPING_MS = 250;

/** Asks the API; what went wrong comes back as `problem`, in words. */
export function ask(what, parameters) {
  return request(`mqtt/${what}?${new URLSearchParams(parameters)}`, {});
}

/** Changes something through the API. */
export function change(what, body) {
  return request(`mqtt/${what}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** One request to the API below `/api/v1/`; what went wrong comes back as `problem`, in words. */
export async function request(path, options) {
  try {
    const answer = await fetch(`/api/v1/${path}`, { ...options, signal: AbortSignal.timeout(WAIT_MS) });
    const json = await answer.json();
    return answer.ok ? json : { problem: json.detail };
  } catch {
    return { problem: "No answer from the gateway." };
  }
}

/** Calls `act` when nothing has happened for a moment. */
export function debounced(act) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, TYPING_MS);
  };
}

/** Bytes, short. */
export function bytesText(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Which part of a long list is shown, and the way to the others. */
export class Pager {
  constructor(words, size, changed) {
    this.words = words;
    this.size = size;
    this.offset = 0;
    this.changed = changed;
    this.label = h("span", { class: "muted num", role: "status" });
    this.back = this.button("‹", "Previous page", -1);
    this.next = this.button("›", "Next page", 1);
    this.element = h("div", { class: "pager" }, this.label, this.back, this.next);
  }

  button(sign, words, step) {
    return h("button", { type: "button", class: "icon-button", "aria-label": words, title: words, on: { click: () => this.turn(step) } }, sign);
  }

  turn(step) {
    this.offset = Math.max(0, this.offset + step * this.size);
    this.changed();
  }

  /** Shows where the list stands. True: it has become shorter than where it stood; ask again. */
  show(matched, shown) {
    if (shown === 0 && this.offset > 0 && matched > 0) {
      this.offset = Math.floor((matched - 1) / this.size) * this.size;
      return true;
    }
    const whole = shown === matched;
    text(this.label, whole ? `${count(matched)} ${this.words}` : `${count(this.offset + 1)}–${count(this.offset + shown)} of ${count(matched)} ${this.words}`);
    this.back.hidden = this.next.hidden = whole && this.offset === 0;
    this.back.disabled = this.offset === 0;
    this.next.disabled = this.offset + shown >= matched;
    return false;
  }
}
