//! What comments and pages cite is there: a rule that nobody can look up is no rule.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The pages of the protocol, by name, with their headings in lower case.
fn pages() -> BTreeMap<String, Vec<String>> {
    let mut pages = BTreeMap::new();
    for page in files(&root().join("raet-core/docs"), "md") {
        let name = page.file_stem().expect("a file has a name");
        let mut headings = Vec::new();
        for line in read(&page).lines() {
            if let Some(heading) = line.strip_prefix('#') {
                let heading = heading.trim_start_matches('#').trim().to_lowercase();
                // `H5: Done and nack` is cited as H5, `si: the session id` as si.
                headings.extend(heading.split_once(": ").map(|(short, _)| short.to_owned()));
                headings.push(heading);
            }
        }
        pages.insert(name.to_string_lossy().into_owned(), headings);
    }
    pages
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the workspace").to_path_buf()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files with this extension in a folder and below.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Everything that may cite: the comments of the code, and the project's pages.
fn texts() -> Vec<(PathBuf, String)> {
    let mut texts = Vec::new();
    for folder in ["raet-core", "raet-std", "raet-embedded", "tests"] {
        for path in files(&root().join(folder).join("src"), "rs") {
            let comments: Vec<_> = read(&path)
                .lines()
                .filter_map(|line| line.split_once("//"))
                .map(|(_, comment)| {
                    comment
                        .trim_start_matches(['/', '!', '='])
                        .trim()
                        .to_owned()
                })
                .collect();
            texts.push((path, comments.join(" ")));
        }
    }
    let pages = files(&root().join("raet-core/docs"), "md");
    let top = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name));
    for path in pages.into_iter().chain(top) {
        let text: Vec<_> = read(&path).split_whitespace().map(str::to_owned).collect();
        texts.push((path, text.join(" ")));
    }
    texts
}

#[test]
fn every_citation_has_its_heading() {
    let pages = pages();
    let mut cited = 0;
    let mut missing = Vec::new();
    for (path, text) in texts() {
        for (page, headings) in &pages {
            for (at, _) in text.match_indices(&format!("{page}: ")) {
                let rest = text[at + page.len() + 2..].to_lowercase();
                cited += 1;
                if !headings.iter().any(|heading| begins_with(&rest, heading)) {
                    let some: String = rest.chars().take(40).collect();
                    missing.push(format!("{}: {page}: {some} …", path.display()));
                }
            }
        }
    }
    assert!(
        missing.is_empty(),
        "no such heading:\n{}",
        missing.join("\n")
    );
    assert!(cited > 50, "only {cited} citations were found");
}

#[test]
fn every_hardening_rule_that_is_named_exists() {
    let pages = pages();
    let rules = &pages["hardening"];
    let mut named = 0;
    for (path, text) in texts() {
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            let number = word.strip_prefix('H').filter(|digits| {
                !digits.is_empty() && digits.len() < 3 && digits.bytes().all(|b| b.is_ascii_digit())
            });
            if number.is_some() {
                named += 1;
                let known = rules.contains(&word.to_lowercase());
                assert!(known, "{} names {word}", path.display());
            }
        }
    }
    assert!(named > 50, "only {named} rules were found");
}

#[test]
fn the_hardening_rules_name_files_that_exist() {
    let source = root().join("raet-core/src");
    let text = read(&root().join("raet-core/docs/hardening.md"));
    let files = text.split('`').filter(|name| {
        Path::new(name).extension().is_some_and(|e| e == "rs") && !name.contains(' ')
    });
    let mut named = 0;
    for file in files {
        named += 1;
        assert!(source.join(file).is_file(), "there is no {file}");
    }
    assert!(named > 20, "only {named} files are named");
}

fn begins_with(text: &str, heading: &str) -> bool {
    let rest = text.strip_prefix(heading);
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
}
