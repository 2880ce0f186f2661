// A question before something that cannot be taken back. The browser keeps the focus inside and gives it back.

import { attribute, h, text } from "./dom.js";

export class Confirm {
  constructor() {
    this.title = h("h2");
    this.words = h("p");
    this.yes = h("button", { type: "button", class: "set danger", on: { click: () => this.element.close("yes") } });
    const no = h("button", { type: "button", class: "set", autofocus: true, on: { click: () => this.element.close("no") } }, "Cancel");
    this.element = h("dialog", { class: "confirm", "aria-modal": "true" }, this.title, this.words, h("div", { class: "pair" }, no, this.yes));
  }

  /** Whether the person agrees. Escape is a no. */
  ask(title, words, agree) {
    text(this.title, title);
    attribute(this.element, "aria-label", title);
    text(this.words, words);
    text(this.yes, agree);
    this.element.returnValue = "no";
    this.element.showModal();
    return new Promise((answer) => {
      this.element.addEventListener("close", () => answer(this.element.returnValue === "yes"), { once: true });
    });
  }
}
