// MQTT clients: the list, one of them in detail, sending it away and clearing its session.

import { attribute, h, text } from "./dom.js";
import { Confirm } from "./confirm.js";
import { count, spanText } from "./format.js";
import { Pager, ask, bytesText, change, debounced } from "./mqtt.js";

const PAGE = 100;
const REFRESH_MS = 3000;
const STATES = [["all", "All"], ["connected", "Connected"], ["absent", "Absent"]];
// Heading, what the API sorts by, and whether the greatest come first.
const COLUMNS = [
  ["Client", "client", "", false], ["State", "age", "", false], ["User", "user", "", false], ["Address", "address", "", false],
  ["Subscriptions", "subscriptions", "num", true], ["Waiting", "queued", "num", true], ["In flight", "in-flight", "num", true],
  ["Received", "received", "num", true], ["Sent", "sent", "num", true], ["Dropped", "dropped", "num", true],
];

export class ClientList {
  constructor(root) {
    this.sort = "client";
    this.descending = false;
    this.state = "all";
    this.open = null;
    this.rows = new Map();
    this.confirm = new Confirm();
    this.pager = new Pager("sessions", PAGE, () => this.refresh());
    this.search = h("input", { class: "search", type: "search", placeholder: "Client, user, address or listener", "aria-label": "Filter clients" });
    this.search.addEventListener("input", debounced(() => this.restart()));
    this.choices = h("div", { class: "choices", role: "group", "aria-label": "State" },
      ...STATES.map(([value, words]) => h("button", { type: "button", "aria-pressed": String(value === this.state), "data-state": value, on: { click: () => this.choose(value) } }, words)));
    this.notice = h("p", { class: "empty", role: "status" }, "Waiting for the gateway…");
    this.done = h("p", { class: "done", role: "status" });
    this.body = h("tbody");
    this.heads = COLUMNS.map((column) => this.head(column));
    this.card = h("div", { class: "card scroll", hidden: true },
      h("table", { class: "clients" }, h("thead", {}, h("tr", {}, ...this.heads)), this.body));
    root.append(h("div", { class: "tools" }, this.search, this.choices, this.pager.element), this.done, this.notice, this.card, this.confirm.element);
  }

  head([name, sort, kind, descending]) {
    const button = h("button", { type: "button", class: "sorter", on: { click: () => this.sortBy(sort, descending) } }, name);
    return h("th", { scope: "col", class: kind, "data-sort": sort }, button);
  }

  sortBy(sort, descending) {
    this.descending = this.sort === sort ? !this.descending : descending;
    this.sort = sort;
    this.restart();
  }

  choose(state) {
    this.state = state;
    for (const button of this.choices.children) attribute(button, "aria-pressed", button.dataset.state === state);
    this.restart();
  }

  restart() {
    this.pager.offset = 0;
    this.refresh();
  }

  visible(visible) {
    clearTimeout(this.timer);
    this.shown = visible;
    if (visible) this.refresh();
  }

  /** Asks again; an answer that a later question has overtaken is not shown. */
  async refresh() {
    clearTimeout(this.timer);
    const turn = this.turn = (this.turn ?? 0) + 1;
    const parameters = { filter: this.search.value.trim(), state: this.state, sort: this.sort, descending: this.descending, offset: this.pager.offset, limit: PAGE };
    const answer = await ask("clients", parameters);
    if (turn !== this.turn || !this.shown) return;
    if (answer.problem) this.fail(answer.problem);
    else this.show(answer);
    this.timer = setTimeout(() => this.refresh(), REFRESH_MS);
  }

  fail(problem) {
    text(this.notice, problem);
    this.notice.hidden = false;
    this.card.hidden = true;
    this.pager.show(0, 0);
  }

  show(answer) {
    if (this.pager.show(answer.matched, answer.clients.length)) {
      this.refresh();
      return;
    }
    for (const th of this.heads) {
      const active = th.dataset.sort === this.sort;
      attribute(th, "aria-sort", active ? (this.descending ? "descending" : "ascending") : null);
    }
    this.card.hidden = answer.clients.length === 0;
    this.notice.hidden = answer.clients.length > 0;
    text(this.notice, answer.total === 0 ? "No MQTT client has connected yet." : "No session fits.");
    this.place(answer.clients);
  }

  /** Rows are kept by client, so that focus and open details survive the next look. */
  place(clients) {
    const wanted = new Set(clients.map((client) => client.client));
    for (const [id, row] of this.rows) {
      if (wanted.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    let at = null;
    for (const client of clients) {
      let row = this.rows.get(client.client);
      if (!row) this.rows.set(client.client, row = new Row(client, this));
      row.show(client);
      row.place(this.body, at);
      at = row.last;
    }
  }

  async sendAway(client) {
    const sure = await this.confirm.ask(`Send ${client} away?`,
      "Its connection ends and its will is published. Its session is kept for as long as it asked, and it may connect again at once.", "Send away");
    if (!sure) return;
    const answer = await change("kick", { client });
    this.tell(answer, answer.done ? `${client} was sent away.` : `${client} was not connected.`);
  }

  async clear(client) {
    const sure = await this.confirm.ask(`Clear the session of ${client}?`,
      "Its subscriptions and all messages that wait for it are lost, and its connection ends if there is one.", "Clear session");
    if (!sure) return;
    this.tell(await change("clear-session", { client }), `The session of ${client} was cleared.`);
  }

  tell(answer, words) {
    text(this.done, answer.problem ?? words);
    attribute(this.done, "data-kind", answer.problem ? "failed" : "done");
    this.refresh();
  }
}

/** One session: its line, and its details below when they are open. */
class Row {
  constructor({ client }, list) {
    this.client = client;
    this.list = list;
    this.cells = {};
    this.name = h("button", { type: "button", class: "link", "aria-expanded": "false", on: { click: () => this.toggle() } }, client);
    const cells = COLUMNS.map(([name, , kind], index) => {
      if (index === 0) return h("th", { scope: "row" }, this.name);
      return this.cells[name] = h("td", { class: kind, "data-label": name });
    });
    this.state = h("span");
    this.cells.State.append(this.state);
    this.line = h("tr", { "data-client": client }, ...cells);
    this.facts = h("dl", { class: "details" });
    this.filters = h("ul", { class: "filters" });
    this.kick = h("button", { type: "button", class: "set", on: { click: () => list.sendAway(client) } }, "Send away…");
    const clear = h("button", { type: "button", class: "set danger", on: { click: () => list.clear(client) } }, "Clear session…");
    this.more = h("tr", { class: "more", hidden: true },
      h("td", { colSpan: COLUMNS.length }, this.facts, this.filters, h("div", { class: "pair" }, this.kick, clear)));
  }

  get last() {
    return this.more;
  }

  place(body, after) {
    const wanted = after ? after.nextSibling : body.firstChild;
    if (wanted !== this.line) body.insertBefore(this.line, wanted);
    if (this.line.nextSibling !== this.more) body.insertBefore(this.more, this.line.nextSibling);
  }

  remove() {
    this.line.remove();
    this.more.remove();
  }

  show(news) {
    this.state.className = `state state-${news.connected ? "online" : "away"}`;
    text(this.state, `${news.connected ? "Connected" : "Absent"} ${spanText(news.seconds * 1000)}`);
    this.cells.State.title = `Since ${new Date(news.since).toLocaleString()}`;
    text(this.cells.User, news.user ?? "–");
    this.cells.User.classList.toggle("zero", news.user === null);
    text(this.cells.Address, news.address ?? "–");
    text(this.cells.Subscriptions, count(news.subscriptions));
    text(this.cells.Waiting, count(news.queued));
    this.cells.Waiting.classList.toggle("zero", news.queued === 0);
    for (const [name, number] of [["In flight", news.inFlight], ["Received", news.received], ["Sent", news.sent], ["Dropped", news.dropped]]) {
      text(this.cells[name], count(number));
      this.cells[name].classList.toggle("zero", number === 0);
    }
    this.cells.Dropped.classList.toggle("warn", news.dropped > 0);
    this.kick.disabled = !news.connected;
    this.news = news;
    if (!this.more.hidden) this.detail();
  }

  toggle() {
    this.more.hidden = !this.more.hidden;
    attribute(this.name, "aria-expanded", !this.more.hidden);
    if (!this.more.hidden) this.detail();
  }

  async detail() {
    const answer = await ask("client", { client: this.client });
    if (answer.problem) return;
    const facts = [
      ["MQTT", answer.protocol], ["Listener", answer.listener], ["Since", new Date(answer.since).toLocaleString()],
      ["Holds", answer.queuedBytes ? `${bytesText(answer.queuedBytes)} waiting and in flight` : null],
      ["Kept when absent for", answer.expirySeconds ? spanText(answer.expirySeconds * 1000) : "no time"],
    ].filter(([, value]) => value !== null);
    const shape = JSON.stringify([facts, answer.filters]);
    if (shape === this.shape) return;
    this.shape = shape;
    this.facts.replaceChildren(...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    const filters = answer.filters.map((filter) => h("li", {}, h("code", {}, filter)));
    this.filters.replaceChildren(...(filters.length ? filters : [h("li", { class: "muted" }, "No subscriptions")]));
  }
}
