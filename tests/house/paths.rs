//! Lists every path that a Rust file names, resolved against the module that it stands in.
//!
//! Macros are read as tokens, since their input need not be Rust. A path in a string of an attribute
//! (`#[serde(with = "crate::…")]`) counts; documentation does not.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::tree::Source;

/// One mention of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    /// From the crate's root for `crate::`, `super::` and `self::`, else as written.
    pub(crate) segments: Vec<String>,
    /// Whether it starts at this crate's root.
    pub(crate) in_crate: bool,
    /// Whether it stands in a `#[cfg(test)]` module.
    pub(crate) in_tests: bool,
    /// Line in the file, from 1.
    pub(crate) line: usize,
}

/// The module that a file below `src` defines: `src/driver/modbus/mod.rs` → `driver`, `modbus`.
pub(crate) fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    // `#[path = "unit_tests.rs"] mod tests` in `unit.rs`: the tests of a file that would grow too long.
    if let Some(tested) = parts.last().and_then(|last| last.strip_suffix("_tests")).map(str::to_owned) {
        parts.pop();
        parts.extend([tested, "tests".to_owned()]);
    }
    parts
}

/// Every path that a file mentions.
pub(crate) fn mentions(source: &Source) -> Vec<Mention> {
    let module = module_of(&source.path);
    let in_tests = module.last().is_some_and(|last| last == "tests");
    let mut collector = Collector { module, in_tests, found: Vec::new() };
    collector.visit_file(&source.syntax);
    collector.found
}

struct Collector {
    /// Where the visit stands, inline modules included.
    module: Vec<String>,
    /// Whether that is in a `#[cfg(test)]` module.
    in_tests: bool,
    found: Vec<Mention>,
}

impl Collector {
    fn add(&mut self, segments: Vec<String>, line: usize) {
        let in_tests = self.in_tests;
        let mut base = match segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("super" | "self") => self.module.clone(),
            _ => {
                self.found.push(Mention { segments, in_crate: false, in_tests, line });
                return;
            }
        };
        for segment in segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                _ => base.push(segment),
            }
        }
        self.found.push(Mention { segments: base, in_crate: true, in_tests, line });
    }

    fn add_use(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let joined = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        let line = tree.span().start().line;
        match tree {
            syn::UseTree::Path(path) => self.add_use(&joined(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(joined(&name.ident), line),
            syn::UseTree::Rename(rename) => self.add(joined(&rename.ident), line),
            syn::UseTree::Glob(_) => self.add(prefix.to_vec(), line),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.add_use(prefix, item)),
        }
    }

    /// Paths among tokens: `a::b::c`, and `a::{b, c}` as `a::b` and `a::c`.
    fn add_tokens(&mut self, prefix: &[String], tokens: TokenStream) {
        let mut path: Vec<String> = prefix.to_vec();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 && path.len() > prefix.len() {
                        self.add(std::mem::replace(&mut path, prefix.to_vec()), line);
                    }
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons = if punct.spacing() == Spacing::Joint { 1 } else { colons + 1 };
                }
                // `a::{b, c}`: the group goes on with the path. Any other group ends it.
                TokenTree::Group(group) if colons == 2 => {
                    self.add_tokens(&path, group.stream());
                    path.truncate(prefix.len());
                    colons = 0;
                }
                TokenTree::Group(group) => {
                    self.flush(&mut path, prefix, line);
                    self.add_tokens(&[], group.stream());
                    colons = 0;
                }
                TokenTree::Literal(_) | TokenTree::Punct(_) => {
                    self.flush(&mut path, prefix, line);
                    colons = 0;
                }
            }
        }
        self.flush(&mut path, prefix, line);
    }

    fn flush(&mut self, path: &mut Vec<String>, prefix: &[String], line: usize) {
        if path.len() > prefix.len() {
            self.add(path.clone(), line);
        }
        path.truncate(prefix.len());
    }

    /// Strings in an attribute that read as a path.
    fn add_strings(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.add_strings(group.stream()),
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    let text = text.trim_matches('"');
                    if text.contains("::") {
                        let segments = text.split("::").map(str::to_owned).collect();
                        self.add(segments, literal.span().start().line);
                    }
                }
                _ => {}
            }
        }
    }
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let outside = self.in_tests;
        self.in_tests |= item.attrs.iter().any(is_cfg_test);
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
        self.in_tests = outside;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_use(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(segments, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.visit_path(&item.path);
        self.add_tokens(&[], item.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.add_tokens(&[], list.tokens.clone());
            self.add_strings(list.tokens.clone());
        }
    }

    // `pub(crate)` and `pub(in crate::x)` grant, they do not use.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_crate(path: &str, text: &str) -> Vec<String> {
        let all = mentions(&Source::parse(path, text));
        all.iter().filter(|m| m.in_crate).map(|m| m.segments.join("::")).collect()
    }

    #[test]
    fn files_name_their_modules() {
        assert_eq!(module_of("src/driver/modbus/mod.rs"), ["driver", "modbus"]);
        assert_eq!(module_of("src/driver/modbus/config.rs"), ["driver", "modbus", "config"]);
        assert_eq!(module_of("src/bus.rs"), ["bus"]);
        assert_eq!(module_of("src/simulate/unit_tests.rs"), ["simulate", "unit", "tests"]);
        assert!(module_of("src/lib.rs").is_empty());
    }

    #[test]
    fn imports_are_flattened() {
        let text = "use crate::{bus::Bus, model::{self, Point as P}}; use crate::clock::*; use std::fs;";
        assert_eq!(in_crate("src/a.rs", text), ["bus::Bus", "model", "model::Point", "clock"]);
    }

    #[test]
    fn super_is_followed_through_files_and_inline_modules() {
        assert_eq!(in_crate("src/alarm/engine.rs", "use super::super::web::Page;"), ["web::Page"]);
        assert_eq!(in_crate("src/alarm.rs", "mod tests { use super::super::web; }"), ["web"]);
        assert_eq!(in_crate("src/alarm.rs", "mod tests { use super::*; }"), ["alarm"]);
    }

    #[test]
    fn files_of_tests_are_told_apart() {
        let in_tests = |path| mentions(&Source::parse(path, "use std::fs;"))[0].in_tests;
        assert!(in_tests("src/command/tests.rs") && in_tests("src/simulate/unit_tests.rs"));
        assert!(!in_tests("src/command/arbiter.rs"));
    }

    #[test]
    fn paths_in_code_types_macros_and_attributes_count() {
        assert_eq!(in_crate("src/a.rs", "fn f() { crate::web::go(); }"), ["web::go"]);
        assert_eq!(in_crate("src/a.rs", "struct S(Vec<crate::web::Page>);"), ["web::Page"]);
        assert_eq!(in_crate("src/a.rs", "fn f() { info!(x = crate::web::go(), \"y\"); }"), ["web::go"]);
        assert_eq!(in_crate("src/a.rs", "m! { use crate::{web::Page, bus}; }"), ["web::Page", "bus"]);
        assert_eq!(in_crate("src/a.rs", "m!(x, super::web::Y);"), ["web::Y"]);
        let attribute = "struct S { #[serde(with = \"crate::web::codec\")] x: u8 }";
        assert_eq!(in_crate("src/a.rs", attribute), ["web::codec"]);
    }

    #[test]
    fn visibility_and_documentation_do_not_count() {
        let text = "//! See crate::web::Page.\n/// crate::web\npub(in crate::web) fn f() {}";
        assert_eq!(in_crate("src/a.rs", text), Vec::<String>::new());
    }

    #[test]
    fn the_crate_itself_is_seen() {
        assert_eq!(in_crate("src/a.rs", "use crate::*; use super as root;"), ["", ""]);
    }
}
