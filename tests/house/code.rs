//! Sizes and habits of Rust code. Lines are counted without blank ones: air is free.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::tree::Source;

/// A function does one thing on one level; past this it does several.
const FUNCTION_LINES: usize = 70;
/// A file of this length holds more than one idea.
const FILE_LINES: usize = 400;
/// Half of all files are at most this long.
const MEDIAN_FILE_LINES: usize = 200;
/// A header shorter than this, in characters, says nothing.
const HEADER_CHARS: usize = 15;
/// Marks of work left for later.
const UNFINISHED: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Lines with something on them.
pub(crate) fn length(text: &str) -> usize {
    text.lines().filter(|line| !line.trim().is_empty()).count()
}

/// Files that are too long, and a complaint when most are long.
pub(crate) fn long_files(sizes: &[(String, usize)]) -> Vec<String> {
    let mut found: Vec<String> = sizes
        .iter()
        .filter(|(_, lines)| *lines > FILE_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines, at most {FILE_LINES}"))
        .collect();
    let mut lengths: Vec<usize> = sizes.iter().map(|(_, lines)| *lines).collect();
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or_default();
    if median > MEDIAN_FILE_LINES {
        found.push(format!("the median file has {median} lines, at most {MEDIAN_FILE_LINES}"));
    }
    found
}

/// Functions that are too long, nested ones counted with what they stand in.
pub(crate) fn long_functions(source: &Source) -> Vec<String> {
    let mut finder = LongFunctions { source, found: Vec::new() };
    finder.visit_file(&source.syntax);
    finder.found
}

struct LongFunctions<'a> {
    source: &'a Source,
    found: Vec<String>,
}

impl LongFunctions<'_> {
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let last = block.span().end().line;
        let text: Vec<&str> = self.source.text.lines().skip(first - 1).take(last + 1 - first).collect();
        let lines = length(&text.join("\n"));
        if lines > FUNCTION_LINES {
            let path = &self.source.path;
            self.found.push(format!(
                "{path}:{first}: `{}` has {lines} lines, at most {FUNCTION_LINES}",
                signature.ident
            ));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// A file that does not start by saying what it is for.
pub(crate) fn missing_header(source: &Source) -> Option<String> {
    let header = source.text.lines().take_while(|line| line.starts_with("//!"));
    let chars: usize = header.map(|line| line.trim_start_matches("//!").trim().chars().count()).sum();
    (chars < HEADER_CHARS).then(|| format!("{}: no `//!` header that says what it is for", source.path))
}

/// Macros that mark work left for later.
pub(crate) fn unfinished(source: &Source) -> Vec<String> {
    let mut finder = Unfinished { path: &source.path, found: Vec::new() };
    finder.visit_file(&source.syntax);
    finder.found
}

struct Unfinished<'a> {
    path: &'a str,
    found: Vec<String>,
}

impl Unfinished<'_> {
    fn judge(&mut self, name: &proc_macro2::Ident) {
        if UNFINISHED.iter().any(|word| name == word) {
            self.found.push(format!("{}:{}: `{name}!`", self.path, name.span().start().line));
        }
    }

    fn scan(&mut self, tokens: TokenStream) {
        let mut previous = None;
        for token in tokens {
            match token {
                TokenTree::Group(group) => {
                    self.scan(group.stream());
                    previous = None;
                }
                TokenTree::Ident(ident) => previous = Some(ident),
                TokenTree::Punct(punct) if punct.as_char() == '!' => {
                    if let Some(name) = previous.take() {
                        self.judge(&name);
                    }
                }
                _ => previous = None,
            }
        }
    }
}

impl<'ast> Visit<'ast> for Unfinished<'_> {
    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        if let Some(last) = item.path.segments.last() {
            self.judge(&last.ident);
        }
        self.scan(item.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!(
            "impl S {{\n    async fn long(\n        &self,\n    ) {{\n{}\n    }}\n}}",
            "        x();\n\n".repeat(lines)
        )
    }

    #[test]
    fn long_functions_are_found_and_blank_lines_are_free() {
        // Four lines are the signature and the closing brace.
        assert!(long_functions(&Source::parse("a.rs", &function(FUNCTION_LINES - 4))).is_empty());
        let found = long_functions(&Source::parse("a.rs", &function(FUNCTION_LINES - 3)));
        assert_eq!(found, ["a.rs:2: `long` has 71 lines, at most 70"]);
        let inner = format!("fn outer() {{\n{}}}", "x();\n".repeat(FUNCTION_LINES));
        assert_eq!(long_functions(&Source::parse("a.rs", &inner)).len(), 1);
        let default = format!("trait T {{ fn f() {{\n{}}} }}", "x();\n".repeat(FUNCTION_LINES));
        assert_eq!(long_functions(&Source::parse("a.rs", &default)).len(), 1);
    }

    #[test]
    fn long_files_are_found() {
        let sizes = |lengths: &[usize]| lengths.iter().map(|n| (format!("{n}.rs"), *n)).collect::<Vec<_>>();
        assert!(long_files(&sizes(&[10, FILE_LINES, MEDIAN_FILE_LINES])).is_empty());
        assert_eq!(long_files(&sizes(&[10, 20, 401])), ["401.rs: 401 lines, at most 400"]);
        assert_eq!(long_files(&sizes(&[10, 201, 300])), ["the median file has 201 lines, at most 200"]);
        assert!(long_files(&[]).is_empty());
    }

    #[test]
    fn headers_must_say_something() {
        let header = |text: &str| missing_header(&Source::parse("a.rs", text)).is_some();
        assert!(header("fn main() {}"));
        assert!(header("//!\n//! Things.\nfn main() {}"));
        assert!(header("// Reads meters over Modbus.\nfn main() {}"));
        assert!(!header("//! Reads meters over Modbus.\nfn main() {}"));
    }

    #[test]
    fn unfinished_work_is_found_in_macros_too() {
        let count = |text: &str| unfinished(&Source::parse("a.rs", text)).len();
        assert_eq!(count("fn f() { todo!() }"), 1);
        assert_eq!(count("fn f() { std::unimplemented!(\"later\") }"), 1);
        assert_eq!(count("fn f() { select! { _ = x => { dbg!(y); } } }"), 1);
        assert_eq!(count("fn f() { let todo = 1; g(todo, \"todo!\"); } // todo!()"), 0);
    }
}
