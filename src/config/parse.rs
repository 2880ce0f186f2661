//! YAML text to a located tree, within limits.
//!
//! The events come from serde-saphyr's parser. Absent on purpose: tags and merge keys, which configurations
//! do not need. Invariant: depth, nodes (aliases multiplied out) and bytes are bounded.

use std::collections::HashMap;

use serde_yaml::granit_parser::{Event, Options, ParseResult, Parser, ScalarStyle, StrInput};

use super::context::Context;
use super::environment::expand;
use super::node::{Entry, Kind, Node, Scalar};
use super::source::Span;

/// The largest file that is read.
pub(super) const MAX_FILE_BYTES: usize = 4 << 20;

/// The most nodes of one document, aliases multiplied out.
pub(super) const MAX_NODES: usize = 500_000;

/// How deep a document may nest.
pub(super) const MAX_DEPTH: usize = 32;

/// Nothing more can be read; the reason is recorded.
struct Stop;

struct Reader<'a, 'text> {
    cx: &'a Context<'a>,
    events: Parser<'text, StrInput<'text>>,
    text: &'text str,
    file: u16,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

/// Parses a text that was added to the context's sources as `file`. `None` when nothing can be used.
pub(super) fn parse(cx: &Context<'_>, file: u16, text: &str) -> Option<Node> {
    let whole = Span { file, start: 0, end: 0 };
    if text.len() > MAX_FILE_BYTES {
        let most = MAX_FILE_BYTES >> 20;
        cx.error(whole, format!("the file is larger than {most} MiB"), None);
        return None;
    }
    let mut options = Options::default();
    options.emit_comments = false;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let events = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { cx, events, text, file, anchors: HashMap::new(), nodes: 0 };
    let nothing = || Node::scalar(whole, "");
    reader.document().ok().map(|root| root.unwrap_or_else(nothing))
}

impl<'text> Reader<'_, 'text> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(..) if root.is_some() => {
                    let help = Some("put everything into one document and remove `---`".to_owned());
                    self.cx.error(self.span(&span), "a second document begins here", help);
                    return Ok(root);
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                other => root = Some(self.node(other, &span, None, 0)?.0),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'text>, serde_yaml::granit_parser::Span), Stop> {
        let next: Option<ParseResult<'text>> = self.events.next_event();
        match next {
            Some(Ok(pair)) => Ok(pair),
            Some(Err(error)) => {
                let at =
                    error.marker().byte_offset().map_or_else(|| self.offset(error.marker().index()), to_u32);
                let end = self.text[at as usize..].chars().next().map_or(at, |c| at + to_u32(c.len_utf8()));
                let span = Span { file: self.file, start: at, end };
                self.cx.error(span, format!("not valid YAML: {}", error.info()), yaml_help(self.text, at));
                Err(Stop)
            }
            None => Err(Stop),
        }
    }

    /// A node and how many nodes it holds. `key` is where its key stands.
    fn node(
        &mut self,
        event: Event<'text>,
        raw: &serde_yaml::granit_parser::Span,
        key: Option<Span>,
        depth: usize,
    ) -> Result<(Node, usize), Stop> {
        let span = self.span(raw);
        self.count(1, span)?;
        if depth > MAX_DEPTH {
            self.cx.error(span, format!("nested deeper than {MAX_DEPTH} levels"), None);
            return Err(Stop);
        }
        let tag = event.tag().is_some();
        if tag {
            let help = Some("remove the `!…`; the type of every value is known from its key".to_owned());
            self.cx.error(raw.tag_span().map_or(span, |tag| self.span(&tag)), "tags are not used here", help);
        }
        let anchor = event.anchor_id();
        let blamed = key.unwrap_or(span);
        let (node, size) = match event {
            Event::Scalar(text, style, ..) => (self.scalar(&text, style, span, key), 1),
            Event::SequenceStart(..) => self.list(blamed, depth)?,
            Event::MappingStart(..) => self.map(blamed, depth)?,
            Event::Alias(id) => self.alias(id, span)?,
            _ => (Node::scalar(span, ""), 1),
        };
        if let Some(id) = anchor {
            self.anchors.insert(id, (node.clone(), size));
        }
        Ok((node, size))
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(Node, usize), Stop> {
        let Some((node, size)) = self.anchors.get(&id).cloned() else {
            self.cx.error(span, "this alias stands inside the node that it repeats", None);
            return Err(Stop);
        };
        self.count(size, span)?;
        Ok((node, size))
    }

    fn list(&mut self, span: Span, depth: usize) -> Result<(Node, usize), Stop> {
        let (mut items, mut size) = (Vec::new(), 1);
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok((Node { span, kind: Kind::List(items) }, size));
            }
            let (item, inside) = self.node(event, &at, None, depth + 1)?;
            size += inside;
            items.push(item);
        }
    }

    fn map(&mut self, span: Span, depth: usize) -> Result<(Node, usize), Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: HashMap<std::sync::Arc<str>, Span> = HashMap::new();
        let mut size = 1;
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok((Node { span, kind: Kind::Map(entries) }, size));
            }
            let key_span = self.span(&at);
            let key = self.key(event, &at, key_span, depth)?;
            let (event, at) = self.next()?;
            let (value, inside) = self.node(event, &at, Some(key_span), depth + 1)?;
            size += inside;
            let Some(key) = key else { continue };
            if let Some(first) = places.get(&key) {
                let line = self.cx.sources.borrow().place(*first).map_or(0, |place| place.line);
                let help = Some(format!("it stands first on line {line}; remove one of the two"));
                self.cx.error(key_span, format!("`{key}` is given twice"), help);
                continue;
            }
            places.insert(key.clone(), key_span);
            entries.push(Entry { key_span, key, value });
        }
    }

    /// The key's text; `None` when it is unusable, which is recorded.
    fn key(
        &mut self,
        event: Event<'text>,
        raw: &serde_yaml::granit_parser::Span,
        span: Span,
        depth: usize,
    ) -> Result<Option<std::sync::Arc<str>>, Stop> {
        match &event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<" => {
                let help = Some("use a profile, `defaults` or `repeat` for what is common".to_owned());
                self.cx.error(span, "merge keys are not supported", help);
                Ok(None)
            }
            // Names are not filled from the environment: references to them could not be checked.
            Event::Scalar(text, ..) => {
                self.count(1, span)?;
                Ok(Some(text.as_ref().into()))
            }
            _ => {
                self.node(event, raw, None, depth + 1)?;
                let help = Some("text that begins with `{` or `[` needs quotes".to_owned());
                self.cx.error(span, "a key must be a single word", help);
                Ok(None)
            }
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, span: Span, key: Option<Span>) -> Node {
        let plain = style == ScalarStyle::Plain;
        let span = match key {
            Some(key) if span.start >= span.end && text.is_empty() => key,
            _ => span,
        };
        let written = self.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        let quoted = written.get(1..written.len().saturating_sub(1)).unwrap_or_default();
        let verbatim_at = match () {
            () if plain && written == text => Some(0),
            () if !plain && quoted == text => Some(1),
            () => None,
        };
        let mut scalar = Scalar { text: text.into(), plain, verbatim_at };
        match expand(text, &*self.cx.around.environment) {
            Ok(None) => {}
            Ok(Some(new)) => {
                scalar.text = new.into();
                scalar.verbatim_at = None;
            }
            Err((error, range)) => {
                let node = Node { span, kind: Kind::Scalar(scalar.clone()) };
                let help = "set it for the service, write ${NAME:-default}, or $$ for a plain $";
                self.cx.error(node.part(range.start, range.end), error.to_string(), Some(help.to_owned()));
            }
        }
        Node { span, kind: Kind::Scalar(scalar) }
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), Stop> {
        self.nodes += more;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let help = Some("aliases (`*name`) multiply what they repeat; use profiles and `repeat`".to_owned());
        self.cx.error(span, format!("the document holds more than {MAX_NODES} values"), help);
        Err(Stop)
    }

    fn span(&self, raw: &serde_yaml::granit_parser::Span) -> Span {
        let (start, end) = raw.byte_range().map_or_else(
            || (self.offset(raw.start.index()), self.offset(raw.end.index())),
            |range| (to_u32(range.start), to_u32(range.end)),
        );
        Span { file: self.file, start, end: end.max(start) }
    }

    fn offset(&self, chars: usize) -> u32 {
        to_u32(self.text.char_indices().nth(chars).map_or(self.text.len(), |(at, _)| at))
    }
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What usually causes a syntax mistake at this place.
fn yaml_help(text: &str, at: u32) -> Option<String> {
    let at = at as usize;
    let line_start = text[..at].rfind('\n').map_or(0, |found| found + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let above = text[..line_start].lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let indent: &str = &line[..line.len() - line.trim_start().len()];
    let advice = if indent.contains('\t') {
        "indent with spaces; YAML does not allow tabs there"
    } else if line.matches('{').count() != line.matches('}').count() {
        "`{` and `}` do not match on this line"
    } else if line.matches('[').count() != line.matches(']').count() {
        "`[` and `]` do not match on this line"
    } else if above.matches(['{', '[']).count() != above.matches(['}', ']']).count() {
        "`{` and `}`, or `[` and `]`, do not match on the line above"
    } else if line.trim_start().starts_with(['%', '@', '`']) {
        "text that begins with `%`, `@` or a back quote needs quotes"
    } else if !line.contains(['"', '\'']) && line.matches(": ").count() > 1 && !line.contains('{') {
        "a text that holds a colon and a space needs quotes: `message: \"hall: too hot\"`"
    } else {
        "check the indentation of this line and of the one above, and that every `:` is followed by a space"
    };
    Some(advice.to_owned())
}
