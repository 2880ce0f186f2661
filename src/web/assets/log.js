// A journal page by page, the newest first, with what is looked for above it. What an entry says is its owner's.

import { attribute, h, text } from "./dom.js";
import { debounced, request } from "./mqtt.js";

const PAGE = 50;

export class Log {
  /**
   * `path` is asked below `/api/v1/`, `file` is the name of an export, `columns` are the heads of the table, and
   * `filters` the inputs by the names of their parameters. `entries` takes them out of an answer, `row` shows one.
   */
  constructor(root, { path, file, columns, filters, entries, row, nothing }) {
    Object.assign(this, { path, entries, row, nothing });
    // The ids before which the pages so far began; the last one is that of the page shown.
    this.pages = [null];
    const again = debounced(() => this.restart());
    const time = () => h("input", { class: "search", type: "datetime-local" });
    this.times = { from: time(), to: time() };
    this.filters = filters;
    for (const input of [...Object.values(filters), ...Object.values(this.times)]) {
      input.addEventListener(input.type === "search" ? "input" : "change", again);
    }
    this.export = h("a", { class: "quiet export", download: file }, "CSV");
    this.newer = this.button("‹ Newer", () => this.pages.pop());
    this.older = this.button("Older ›", () => this.pages.push(this.oldest));
    this.look = this.button("Look again", () => {});
    this.notice = h("p", { class: "empty", role: "status" }, "Waiting for the gateway…");
    this.body = h("tbody");
    const head = h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)));
    this.card = h("div", { class: "card scroll", hidden: true }, h("table", { class: "journal" }, h("thead", {}, head), this.body));
    root.append(
      h("div", { class: "tools journal-tools" }, ...Object.values(filters),
        h("label", { class: "muted" }, "From ", this.times.from), h("label", { class: "muted" }, "To ", this.times.to)),
      h("div", { class: "tools" }, this.newer, this.older, this.look, this.export), this.notice, this.card);
  }

  button(label, act) {
    return h("button", { type: "button", class: "quiet", on: { click: () => { act(); this.refresh(); } } }, label);
  }

  visible(visible) {
    this.shown = visible;
    if (visible) this.refresh();
  }

  restart() {
    this.pages = [null];
    this.refresh();
  }

  get wanted() {
    const wanted = {};
    for (const [key, input] of Object.entries(this.filters)) {
      if (input.value.trim()) wanted[key] = input.value.trim();
    }
    for (const [key, input] of Object.entries(this.times)) {
      if (input.value) wanted[key] = new Date(input.value).toISOString();
    }
    return wanted;
  }

  async refresh() {
    const turn = this.turn = (this.turn ?? 0) + 1;
    const wanted = this.wanted;
    this.export.href = `/api/v1/${this.path}?${new URLSearchParams({ ...wanted, format: "csv" })}`;
    const before = this.pages.at(-1);
    if (before !== null) wanted.before = before;
    // One more than is shown tells whether there is another page.
    const answer = await request(`${this.path}?${new URLSearchParams({ ...wanted, limit: PAGE + 1 })}`, {});
    if (turn !== this.turn || !this.shown) return;
    const found = answer.problem ? [] : this.entries(answer);
    const shown = found.slice(0, PAGE);
    this.oldest = shown.at(-1)?.id;
    this.newer.disabled = this.pages.length === 1;
    this.older.disabled = found.length <= PAGE;
    this.card.hidden = shown.length === 0;
    this.notice.hidden = shown.length > 0;
    attribute(this.export, "aria-disabled", shown.length === 0 ? "true" : null);
    text(this.notice, answer.problem ?? this.nothing);
    this.body.replaceChildren(...shown.map((entry) => this.row(entry)));
  }
}

/** A field to search by, with what it can be set to. */
export function search(name, words, choices) {
  const list = h("datalist", { id: `log-${name}` });
  const input = h("input", { class: "search", type: "search", placeholder: words, "aria-label": words, autocapitalize: "off" });
  input.setAttribute("list", list.id);
  let known = "";
  const set = (names) => {
    if (names.join("\n") === known) return;
    known = names.join("\n");
    list.replaceChildren(...names.map((name) => h("option", { value: name })));
  };
  set(choices);
  return { input, list, set };
}

/** A cell of what somebody said under what is told. */
export const said = (words) => (words ? h("span", { class: "muted said" }, words) : null);
