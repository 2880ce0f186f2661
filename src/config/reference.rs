//! The tables of every key, as Markdown, made from the schema; docs/configuration.md holds them.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::drivers::DRIVERS;
use super::schema::{profile_schema, schema};

/// The tables of docs/configuration.md.
#[must_use]
pub fn reference() -> String {
    let (file, profile) = (schema(), profile_schema());
    let mut out = String::new();
    let mut tables = Tables { out: &mut out, root: &file };
    tables.section("The file", "", file.get("properties"), &[]);
    tables.section(
        "`defaults`",
        "Also keys of a device and of a point; the nearest one counts.",
        tables.definition("PublishSection"),
        &[],
    );
    tables.channels();
    tables.section(
        "A device",
        "Under `devices`, by its name. The keys of `defaults` can stand here, too.",
        tables.definition("Device"),
        &["defaults"],
    );
    let long = file.pointer("/definitions/Point/anyOf/0/properties");
    tables.section(
        "A point",
        "Under `points`, by its name. The keys of `defaults` can stand here, too.",
        long,
        &["defaults"],
    );
    tables.section("`span`", "", tables.definition("SpanSection"), &[]);
    tables.section("`split` of a text", "", tables.definition("SplitConfig"), &[]);
    for (title, definition) in DRIVERS.iter().flat_map(|kind| kind.tables()) {
        tables.section(title, "", tables.definition(definition), &[]);
    }
    tables.behaviours();
    tables.alarms();
    tables.section("A test", "Under `tests`, by its name.", tables.definition_of("tests"), &[]);
    tables.section("`expect` of a test", "", tables.definition("ExpectSection"), &[]);
    tables.section("An entry of `do` in a test", "", tables.definition("DeedSection"), &[]);
    tables.section("A reading in a test", "", tables.definition("SignalSection"), &[]);
    tables.section(
        "An interlock",
        "Under `interlocks`, by its name.",
        tables.definition_of("interlocks"),
        &[],
    );
    tables.section("`control`", "", tables.definition_of("control"), &[]);
    tables.bridges();
    tables.section("`broker`", "", tables.definition_of("broker"), &[]);
    let listener = tables.definition("BrokerListener");
    tables.section("A listener", "Under `broker.listeners`, by its name.", listener, &[]);
    tables.section("`jwt` of the broker", "", tables.definition("BrokerJwt"), &[]);
    tables.section("A key of `jwt`", "", tables.definition("JwtKey"), &[]);
    tables.section("`tls` of a listener", "", tables.definition("BrokerTls"), &[]);
    tables.section("`web`", "", tables.definition_of("web"), &[]);
    let mut tables = Tables { out: &mut out, root: &profile };
    tables.section(
        "A profile",
        "A file `<vendor>/<model>.yaml`. The keys of `defaults` can stand here, too.",
        profile.get("properties"),
        &["defaults"],
    );
    tables.section("`factory`", "", tables.definition("FactorySection"), &[]);
    out
}

struct Tables<'a> {
    out: &'a mut String,
    root: &'a Value,
}

impl<'a> Tables<'a> {
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let name = reference_name(schema);
        name.and_then(|name| self.root.pointer(&format!("/definitions/{name}"))).unwrap_or(schema)
    }

    fn definition(&self, name: &str) -> Option<&'a Value> {
        self.root.pointer(&format!("/definitions/{name}/properties"))
    }

    /// The keys of a section of the file, or of the entries in it.
    fn definition_of(&self, section: &str) -> Option<&'a Value> {
        let section = self.root.pointer(&format!("/properties/{section}"))?;
        let entry = section.get("additionalProperties").filter(|entry| entry.is_object()).unwrap_or(section);
        self.resolve(entry).get("properties")
    }

    /// A heading, a sentence and a table. `without` names a group whose keys have a table of their own.
    fn section(&mut self, title: &str, text: &str, properties: Option<&'a Value>, without: &[&str]) {
        let Some(properties) = properties.and_then(Value::as_object) else { return };
        let shared = match without.is_empty() {
            true => None,
            false => schema_defaults(),
        };
        let _ = writeln!(self.out, "### {title}\n");
        if !text.is_empty() {
            let _ = writeln!(self.out, "{text}\n");
        }
        let own =
            properties.iter().filter(|(key, _)| shared.as_ref().is_none_or(|keys| !keys.contains_key(*key)));
        self.table(own);
    }

    fn table(&mut self, properties: impl Iterator<Item = (&'a String, &'a Value)>) {
        self.out.push_str("| Key | Value | Default | Meaning |\n|---|---|---|---|\n");
        for (key, schema) in properties {
            let kind = self.kind(schema);
            let default =
                schema.get("default").map_or_else(String::new, |default| format!("`{}`", plain(default)));
            let text = cell(self.description(schema));
            let _ = writeln!(self.out, "| `{key}` | {kind} | {default} | {text} |");
        }
        self.out.push('\n');
    }

    fn description(&self, schema: &'a Value) -> &'a str {
        let own = schema.get("description").or_else(|| self.resolve(schema).get("description"));
        own.and_then(Value::as_str).unwrap_or_default()
    }

    fn channels(&mut self) {
        let Some(section) = self.root.pointer("/properties/channels/additionalProperties") else { return };
        let drivers = self.resolve(section).get("oneOf").and_then(Value::as_array);
        let mut seen: Vec<&Value> = Vec::new();
        for driver in drivers.into_iter().flatten() {
            let Some((name, settings)) = first(driver.get("properties")) else { continue };
            let keys = self.resolve(settings);
            if seen.contains(&keys) {
                let _ = writeln!(
                    self.out,
                    "### Channel `{name}`\n\n{} The keys are those above.\n",
                    cell(self.description(driver))
                );
                continue;
            }
            seen.push(keys);
            self.section(
                &format!("Channel `{name}`"),
                &cell(self.description(driver)),
                keys.get("properties"),
                &[],
            );
        }
        for (title, definition) in DRIVERS.iter().flat_map(|kind| kind.channel_tables()) {
            self.section(title, "", self.definition(definition), &[]);
        }
    }

    fn alarms(&mut self) {
        self.section("An alarm", "Under `alarms`, by its name.", self.definition_of("alarms"), &[]);
        self.section("`rate` of an alarm", "", self.definition("RateConfig"), &[]);
        self.section("`deviation` of an alarm", "", self.definition("DeviationConfig"), &[]);
        self.section("`no-change` of an alarm", "", self.definition("NoChangeConfig"), &[]);
        let action = self.definition("ActionConfig");
        self.section(
            "`then` of an alarm",
            "Under `then`, by the output; a state alone is its `value`.",
            action,
            &[],
        );
        self.section("`chattering`", "", self.definition_of("chattering"), &[]);
        self.section("A notifier", "Under `notify`, by its name.", self.definition_of("notify"), &[]);
        self.section("`mail` of a notifier", "", self.definition("MailConfig"), &[]);
        self.section("`webhook` of a notifier", "", self.definition("WebhookConfig"), &[]);
    }

    fn bridges(&mut self) {
        self.section("A bridge", "Under `bridges`, by its name.", self.definition_of("bridges"), &[]);
        let parts = [
            ("An entry of `forward` or `accept`", "RuleConfig"),
            ("`tls` of a bridge", "Tls"),
            ("`token: { jwt: … }`", "Jwt"),
            ("`token: { sas: … }`", "Sas"),
            ("`buffer`", "Buffer"),
            ("`backfill: { live-first: … }`", "LiveFirst"),
            ("`limits` of a bridge", "LimitsConfig"),
        ];
        for (title, definition) in parts {
            self.section(title, "", self.definition(definition), &[]);
        }
    }

    fn behaviours(&mut self) {
        let forms = self.root.pointer("/definitions/Behaviour/oneOf").and_then(Value::as_array);
        let _ = writeln!(
            self.out,
            "### `simulate`\n\nExactly one of these.\n\n| Form | Keys | Meaning |\n|---|---|---|"
        );
        for form in forms.into_iter().flatten() {
            let Some((name, settings)) = first(form.get("properties")) else { continue };
            let settings = self.resolve(settings);
            let keys = settings.get("properties").and_then(Value::as_object);
            let keys: Vec<String> = keys.into_iter().flatten().map(|(key, _)| format!("`{key}`")).collect();
            let keys = if keys.is_empty() { "a value".to_owned() } else { keys.join(", ") };
            let _ = writeln!(self.out, "| `{name}` | {keys} | {} |", cell(self.description(form)));
        }
        self.out.push('\n');
    }

    /// What kind of value a key takes, in words.
    fn kind(&self, schema: &'a Value) -> String {
        if let Some(words) = reference_name(schema).and_then(words_for) {
            return words.to_owned();
        }
        let schema = self.resolve(schema);
        if let Some(forms) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
            let mut words: Vec<String> = forms.iter().map(|form| self.kind(form)).collect();
            words.retain(|word| word != "nothing");
            words.dedup();
            return words.join(", ");
        }
        if let Some(word) = schema.get("const") {
            return format!("`{}`", plain(word));
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            return words.iter().map(|word| format!("`{}`", plain(word))).collect::<Vec<_>>().join(", ");
        }
        if schema.get("properties").is_some() {
            return "keys, see below".into();
        }
        let kinds: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => return "a value".into(),
        };
        let has = |word| kinds.contains(&word);
        if has("array") {
            return self.list(schema);
        }
        match () {
            () if has("object") => "names with entries".into(),
            () if has("boolean") && !has("number") => "`on` or `off`".into(),
            () if has("integer") => limits("whole number", schema),
            () if has("number") && has("boolean") => "text".into(),
            () if has("number") => limits("number", schema),
            () if has("null") && kinds.len() == 1 => "nothing".into(),
            () => "text".into(),
        }
    }

    fn list(&self, schema: &'a Value) -> String {
        match schema.get("items") {
            Some(Value::Array(items)) => {
                let words: Vec<String> = items.iter().map(|item| self.kind(item)).collect();
                format!("[{}]", words.join(", "))
            }
            Some(item) => format!("list of {}", self.kind(item)),
            None => "list".into(),
        }
    }
}

/// The type that a schema refers to.
fn reference_name(schema: &Value) -> Option<&str> {
    let places = ["/$ref", "/allOf/0/$ref", "/anyOf/0/$ref"];
    let target = places.iter().find_map(|place| schema.pointer(place));
    target.and_then(Value::as_str).and_then(|path| path.strip_prefix("#/definitions/"))
}

/// Types with a form of their own, in words.
fn words_for(name: &str) -> Option<&'static str> {
    Some(match name {
        "Period" => "time, such as `500ms`, `1m30s`",
        "ByteSize" => "size, such as `64KiB`",
        "Deadband" => "number, or share such as `5%`",
        "Heartbeat" | "MaxAge" => "time, or `off`",
        "Setpoint" => "on/off, number or text",
        "Code" => "whole number, such as `10000`, `0x7FFF`",
        "BrokerUrl" => "address, such as `mqtts://broker.example.com:8883`",
        "ProxyUrl" => "address, such as `http://192.0.2.8:3128`",
        "Rate" => "rate, such as `500/s`",
        "BridgeRule" => "filter, or keys, see below",
        "Token" => "`{ file: … }`, `{ jwt: … }` or `{ sas: … }`",
        "SecretFile" => "`{ file: /path }`",
        "Backfill" => "`oldest-first`, or `{ live-first: … }`",
        "AlarmText" => "text, or `{ en: …, ko: … }`",
        "AlarmStates" => "a state, or a list of states",
        "Repeat" => "`1..8`, or a list of words",
        _ => return None,
    })
}

fn schema_defaults() -> Option<Map<String, Value>> {
    schema().pointer("/definitions/PublishSection/properties").and_then(Value::as_object).cloned()
}

fn first(properties: Option<&Value>) -> Option<(&String, &Value)> {
    properties?.as_object()?.iter().next()
}

fn limits(word: &str, schema: &Value) -> String {
    let limit =
        |key| schema.get(key).filter(|limit| limit.as_f64().is_some_and(|l| l.abs() < 1e9)).map(plain);
    match (limit("minimum"), limit("maximum")) {
        (Some(low), Some(high)) => format!("{word} {low} … {high}"),
        _ => word.to_owned(),
    }
}

/// A JSON value as people write it in the file.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "on".into(),
        Value::Bool(false) => "off".into(),
        other => other.to_string(),
    }
}

/// Text that fits into a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
