// Retained messages: a filter selects, a count comes before every deletion.

import { attribute, h, text } from "./dom.js";
import { Confirm } from "./confirm.js";
import { count, spanText } from "./format.js";
import { Pager, ask, bytesText, change, debounced } from "./mqtt.js";

const PAGE = 100;
const COLUMNS = [["Topic", ""], ["Payload", ""], ["Size", "num"], ["QoS", "num"], ["Age", "num"], ["Expires in", "num"], ["Published by", ""]];

export class RetainedList {
  constructor(root) {
    this.confirm = new Confirm();
    this.pager = new Pager("messages", PAGE, () => this.refresh());
    this.filter = h("input", { class: "search", type: "search", placeholder: "Topic filter, such as busan/#", "aria-label": "Topic filter", autocapitalize: "off" });
    this.filter.addEventListener("input", debounced(() => this.restart()));
    this.again = h("button", { type: "button", class: "quiet", on: { click: () => this.refresh() } }, "Look again");
    this.remove = h("button", { type: "button", class: "set danger", on: { click: () => this.delete(this.wanted) } }, "Delete all of these…");
    this.notice = h("p", { class: "empty", role: "status" }, "Waiting for the gateway…");
    this.done = h("p", { class: "done", role: "status" });
    this.body = h("tbody");
    const head = h("tr", {}, ...COLUMNS.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)), h("td", {}));
    this.card = h("div", { class: "card scroll", hidden: true }, h("table", { class: "retained" }, h("thead", {}, head), this.body));
    root.append(h("div", { class: "tools" }, this.filter, this.again, this.remove, this.pager.element), this.done, this.notice, this.card, this.confirm.element);
  }

  get wanted() {
    return this.filter.value.trim() || "#";
  }

  restart() {
    this.pager.offset = 0;
    this.refresh();
  }

  visible(visible) {
    this.shown = visible;
    if (visible) this.refresh();
  }

  async refresh() {
    const turn = this.turn = (this.turn ?? 0) + 1;
    const answer = await ask("retained", { filter: this.wanted, offset: this.pager.offset, limit: PAGE });
    if (turn !== this.turn || !this.shown) return;
    if (!answer.problem && this.pager.show(answer.matched, answer.messages.length)) {
      this.refresh();
      return;
    }
    const messages = answer.problem ? [] : answer.messages;
    if (answer.problem) this.pager.show(0, 0);
    this.card.hidden = messages.length === 0;
    this.remove.hidden = messages.length === 0;
    this.notice.hidden = messages.length > 0;
    text(this.notice, answer.problem ?? `Nothing is retained below ${this.wanted}.`);
    this.body.replaceChildren(...messages.map((message) => this.row(message)));
  }

  row(message) {
    const payload = message.preview === null ? h("span", { class: "muted" }, "not text") : h("code", {}, message.preview);
    const expires = message.expiresSeconds === null ? "never" : spanText(message.expiresSeconds * 1000);
    const remove = h("button", { type: "button", class: "set danger", "aria-label": `Delete ${message.topic}…`, on: { click: () => this.delete(message.topic) } }, "Delete…");
    const facts = [
      ["Payload", "payload", payload], ["Size", "num", bytesText(message.bytes)], ["QoS", "num", message.qos],
      ["Age", "num", spanText(message.ageSeconds * 1000)], ["Expires in", "num", expires], ["Published by", "", message.publisher],
    ];
    return h("tr", {}, h("th", { scope: "row", class: "topic" }, ...levels(message.topic)),
      ...facts.map(([name, kind, value]) => h("td", { class: kind, "data-label": name }, value)), h("td", { class: "do" }, remove));
  }

  /** Counts first, asks, and deletes then. */
  async delete(filter) {
    const trial = await change("retained/delete", { filter, dryRun: true });
    if (trial.problem) {
      this.tell(trial, "");
      return;
    }
    const messages = `${count(trial.deleted)} retained ${trial.deleted === 1 ? "message" : "messages"}`;
    const sure = await this.confirm.ask(`Delete ${messages}?`, `Everything that ${filter} selects is deleted. Subscribers are not told.`, "Delete");
    if (!sure) return;
    const answer = await change("retained/delete", { filter, dryRun: false });
    this.tell(answer, `${count(answer.deleted ?? 0)} retained messages deleted.`);
  }

  tell(answer, words) {
    text(this.done, answer.problem ?? words);
    attribute(this.done, "data-kind", answer.problem ? "failed" : "done");
    this.refresh();
  }
}

/** A topic that breaks between its levels, if it has to. */
function levels(topic) {
  return topic.split(/(?<=\/)/).flatMap((level, index) => (index ? [h("wbr"), level] : [level]));
}
