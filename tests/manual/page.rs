//! A manual page in mdoc(7), as far as these tests read it: sections, list items, and the words of a macro.

use std::path::Path;

/// A list item: what stands in its head, and all lines of it.
pub(crate) struct Item {
    /// The words of the head that stand after a macro of names (`Cm`, `Ic`, or none).
    pub(crate) head: Vec<String>,
    pub(crate) lines: Vec<String>,
}

/// A part of a page: from one heading to the next of the same or a higher level.
pub(crate) struct Part {
    pub(crate) section: String,
    pub(crate) heading: String,
    pub(crate) items: Vec<Item>,
}

/// The lines of a page.
pub(crate) fn lines(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name);
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// Every part of a page.
pub(crate) fn parts(name: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut section = String::new();
    for line in lines(name) {
        if let Some(heading) = line.strip_prefix(".Sh ") {
            heading.clone_into(&mut section);
            parts.push(Part { section: section.clone(), heading: String::new(), items: Vec::new() });
        } else if let Some(heading) = line.strip_prefix(".Ss ") {
            parts.push(Part { section: section.clone(), heading: heading.to_owned(), items: Vec::new() });
        } else if line.starts_with(".It") {
            let item = Item { head: Vec::new(), lines: vec![line] };
            parts.last_mut().unwrap().items.push(item);
        } else if let Some(item) = parts.last_mut().and_then(|part| part.items.last_mut()) {
            item.lines.push(line);
        }
    }
    for item in parts.iter_mut().flat_map(|part| &mut part.items) {
        item.head = head(&item.lines);
    }
    parts
}

/// The names in the head of an item, which spans several lines after `Xo`.
fn head(lines: &[String]) -> Vec<String> {
    let long = lines[0].contains(" Xo");
    let line = if long { &lines[1] } else { &lines[0] };
    let mut names = words_of(line, "Cm");
    names.extend(words_of(line, "Ic"));
    if names.is_empty() {
        names.extend(line.split_whitespace().skip(1).take(1).map(str::to_owned));
    }
    names
}

/// The words that stand behind a macro on a line, up to the next macro: `.Ic host , port` has two of `Ic`.
pub(crate) fn words_of(line: &str, of: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_behind = false;
    for word in line.trim_start_matches('.').split_whitespace() {
        if is_macro(word) {
            is_behind = word == of;
        } else if is_behind && word.chars().any(char::is_alphanumeric) {
            found.push(word.to_owned());
        }
    }
    found
}

/// Macros have two letters, the first a capital.
fn is_macro(word: &str) -> bool {
    let mut letters = word.chars();
    word.len() == 2
        && letters.next().is_some_and(|first| first.is_ascii_uppercase())
        && letters.next().is_some_and(|second| second.is_ascii_lowercase())
}
