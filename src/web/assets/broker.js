// The view of the MQTT broker: its clients, and the retained messages.

import { attribute, h } from "./dom.js";
import { ClientList } from "./clients.js";
import { RetainedList } from "./retained.js";

const PARTS = [["sessions", "Sessions"], ["retained", "Retained messages"]];

export class BrokerView {
  constructor(root) {
    this.shown = false;
    this.part = "sessions";
    const places = Object.fromEntries(PARTS.map(([name, words]) => [name, h("section", { "aria-label": words, hidden: name !== this.part })]));
    this.places = places;
    this.choices = h("div", { class: "choices parts", role: "group", "aria-label": "What to show" },
      ...PARTS.map(([name, words]) => h("button", { type: "button", "aria-pressed": String(name === this.part), "data-part": name, on: { click: () => this.choose(name) } }, words)));
    root.append(this.choices, ...Object.values(places));
    this.parts = { sessions: new ClientList(places.sessions), retained: new RetainedList(places.retained) };
  }

  choose(part) {
    this.part = part;
    for (const button of this.choices.children) attribute(button, "aria-pressed", button.dataset.part === part);
    this.visible(this.shown);
  }

  visible(visible) {
    this.shown = visible;
    for (const [name, part] of Object.entries(this.parts)) {
      this.places[name].hidden = name !== this.part;
      part.visible(visible && name === this.part);
    }
  }

  tick() {}
}
