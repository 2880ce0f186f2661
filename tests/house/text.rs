//! Rules over files of any kind: scripts, documents, configuration.

use std::process::Command;

use crate::tree::{self, File};

/// Folders that exist on one machine only. Put together here, or this file would break its own rule.
const MACHINE_FOLDERS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/")];

/// Places where a file names a folder of one machine.
pub(crate) fn machine_paths(file: &File) -> Vec<String> {
    let lines = file.text.lines().enumerate();
    lines
        .flat_map(|(index, line)| MACHINE_FOLDERS.iter().map(move |folder| (index, line, folder)))
        .filter(|(_, line, folder)| line.match_indices(**folder).any(|(at, _)| starts_a_path(line, at)))
        .map(|(index, _, folder)| format!("{}:{}: names {folder}", file.path, index + 1))
        .collect()
}

/// `a/work/b` and `${X}/work/b` are below something else.
fn starts_a_path(line: &str, at: usize) -> bool {
    let before = line[..at].chars().next_back();
    before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | ')' | '*')))
}

/// Whether a file is a script for a POSIX shell or bash.
pub(crate) fn is_shell_script(file: &File) -> bool {
    let first = file.text.lines().next().unwrap_or_default();
    first.starts_with("#!") && (first.ends_with("bash") || first.ends_with("/sh"))
}

/// What the shell says against a script, read but not run.
pub(crate) fn shell_error(path: &str) -> Option<String> {
    let output = Command::new("bash").arg("-n").arg(tree::root().join(path)).output().expect("bash runs");
    (!output.status.success()).then(|| format!("{path}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Links of a Markdown document to files that are not there.
pub(crate) fn broken_links(file: &File) -> Vec<String> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let folder = tree::root().join(&file.path).parent().map(std::path::Path::to_owned).unwrap_or_default();
    let targets = file.text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
        .filter(|target| !folder.join(target).exists())
        .map(|target| format!("{}: links to {target}, which is not there", file.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn machine_paths_are_found() {
        let find = |folder: &str, text: &str| machine_paths(&file("a.md", &text.replace('@', folder))).len();
        for folder in MACHINE_FOLDERS {
            assert_eq!(find(folder, "cd @main"), 1, "{folder}");
            assert_eq!(find(folder, "line\n`@x` and (@y)"), 1, "{folder}");
            assert_eq!(find(folder, "../x@y ${W}@y target@x"), 0, "{folder}");
        }
    }

    #[test]
    fn scripts_are_told_by_their_first_line() {
        assert!(is_shell_script(&file("run", "#!/usr/bin/env bash\ntrue")));
        assert!(is_shell_script(&file("postinst", "#!/bin/sh\ntrue")));
        assert!(!is_shell_script(&file("x.py", "#!/usr/bin/env python3\n")));
        assert!(!is_shell_script(&file("notes.sh.txt", "bash")));
    }

    #[test]
    fn a_broken_script_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("broken.sh");
        fs::write(&script, "#!/bin/sh\nif true; then\n").unwrap();
        assert!(shell_error(script.to_str().unwrap()).unwrap().contains("syntax error"));
        fs::write(&script, "#!/bin/sh\nif true; then :; fi\n").unwrap();
        assert_eq!(shell_error(script.to_str().unwrap()), None);
    }

    #[test]
    fn broken_links_are_found() {
        let text = "[a](Cargo.toml) [b](nowhere.md#part) [c](https://example.com/) [d](#here)";
        assert_eq!(broken_links(&file("X.md", text)), ["X.md: links to nowhere.md, which is not there"]);
        assert!(broken_links(&file("x.rs", text)).is_empty());
    }
}
