// A question before something that cannot be taken back. The browser keeps the focus inside and gives it back.
//
// Every question has one answer, given at its own button. The dialog's `close` event comes later than the closing,
// perhaps when the next question stands there already: it must never answer that one, nor be answered by it.

import { attribute, h, text } from "./dom.js";

export class Confirm {
  constructor() {
    this.answer = null;
    this.title = h("h2");
    this.words = h("p");
    this.yes = h("button", { type: "button", class: "set danger", on: { click: () => this.settle(true) } });
    const no = h("button", { type: "button", class: "set", autofocus: true, on: { click: () => this.settle(false) } }, "Cancel");
    this.element = h("dialog", { class: "confirm", "aria-modal": "true" }, this.title, this.words, h("div", { class: "pair" }, no, this.yes));
    this.element.addEventListener("close", () => {
      if (!this.element.open) this.settle(false);
    });
  }

  /** Whether the person agrees. Escape is a no, and so is a question that a newer one replaces. */
  ask(title, words, agree) {
    this.settle(false);
    text(this.title, title);
    attribute(this.element, "aria-label", title);
    text(this.words, words);
    text(this.yes, agree);
    this.element.showModal();
    return new Promise((answer) => {
      this.answer = answer;
    });
  }

  settle(sure) {
    const { answer } = this;
    this.answer = null;
    this.element.close();
    answer?.(sure);
  }
}
