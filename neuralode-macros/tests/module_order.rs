//! Modules depend on each other in one direction: the order is drawn in `docs/architecture.md`, and every file keeps
//! it.
//!
//! Compiles nothing. The drawing has a block for each folder: its path, then rows of modules. A module may use those in
//! the rows above it; what stands in one row does not know each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};

fn root() -> &'static Path {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.expect("the workspace")
}

fn read(path: &Path) -> String {
    let text = fs::read_to_string(path);
    text.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of every folder in the drawing, top row first.
fn drawing() -> BTreeMap<String, Vec<Vec<String>>> {
    let page = read(&root().join("docs/architecture.md"));
    let mut folders: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let mut blocks = page.split("```");
    while let (Some(_), Some(block)) = (blocks.next(), blocks.next()) {
        let Some(rows) = block.strip_prefix("order\n") else {
            continue;
        };
        let mut folder = None;
        for line in rows.lines().filter(|line| !line.trim().is_empty()) {
            let words = line.split_whitespace().map(str::to_owned);
            if line.starts_with(' ') {
                let folder = folder.clone().expect("a folder before its rows");
                folders.entry(folder).or_default().push(words.collect());
            } else {
                folder = words.into_iter().next();
            }
        }
    }
    assert!(!folders.is_empty(), "docs/architecture.md draws no order");
    folders
}

/// All Rust files under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The place of a file's module in its crate.
fn module(file: &Path, source: &Path) -> Vec<String> {
    let path = file.strip_prefix(source).expect("a file of the crate");
    let mut names: Vec<String> = path
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if names
        .last()
        .is_some_and(|name| name == "mod" || name == "lib")
    {
        names.pop();
    }
    names
}

/// Everything of the crate that some tokens name, from the crate's root.
fn named(tokens: TokenStream, module: &[String], found: &mut BTreeSet<Vec<String>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let word = |index: usize| tokens.get(index).map(ToString::to_string);
    let mut index = 0;
    while index < tokens.len() {
        if is_test(&tokens, index) {
            // The attribute and the item behind it.
            while index < tokens.len() && !ends_item(&tokens[index]) {
                index += 1;
            }
        } else if word(index).as_deref() == Some("mod") {
            if let Some(TokenTree::Group(body)) = tokens.get(index + 2) {
                let mut inner = module.to_vec();
                inner.extend(word(index + 1));
                named(body.stream(), &inner, found);
                index += 2;
            }
        } else if word(index).as_deref() == Some("use") {
            let end = (index..tokens.len()).find(|at| word(*at).as_deref() == Some(";"));
            let end = end.unwrap_or(tokens.len());
            tree(&tokens[index + 1..end], &[], &mut |path| {
                found.extend(resolved(&path, module));
            });
            index = end;
        } else if matches!(word(index).as_deref(), Some("crate" | "super")) {
            let mut path = Vec::new();
            while let Some(TokenTree::Ident(name)) = tokens.get(index) {
                path.push(name.to_string());
                if word(index + 1).as_deref() != Some(":") {
                    break;
                }
                index += 3;
            }
            found.extend(resolved(&path, module));
        } else if let TokenTree::Group(group) = &tokens[index] {
            named(group.stream(), module, found);
        }
        index += 1;
    }
}

/// Whether `#[cfg(test)]` stands here.
fn is_test(tokens: &[TokenTree], index: usize) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = &tokens[index..] else {
        return false;
    };
    hash.as_char() == '#' && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(group) => group.delimiter() == proc_macro2::Delimiter::Brace,
        TokenTree::Punct(end) => end.as_char() == ';',
        _ => false,
    }
}

/// The paths of a `use`, without what they are called here.
fn tree(tokens: &[TokenTree], before: &[String], found: &mut impl FnMut(Vec<String>)) {
    let parts = tokens.split(|token| token.to_string() == ",");
    for part in parts.filter(|part| !part.is_empty()) {
        let mut path = before.to_vec();
        let mut nested = false;
        for token in part {
            match token {
                TokenTree::Ident(name) if *name == "as" => break,
                TokenTree::Ident(name) if *name != "self" => path.push(name.to_string()),
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    tree(&inner, &path, found);
                    nested = true;
                }
                _ => {}
            }
        }
        if !nested {
            found(path);
        }
    }
}

/// From the crate's root, if it is of this crate.
fn resolved(path: &[String], module: &[String]) -> Option<Vec<String>> {
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "super" => {
            let ups = path.iter().take_while(|name| *name == "super").count();
            let base = &module[..module.len().checked_sub(ups)?];
            Some([base, &path[ups..]].concat())
        }
        _ => None,
    }
}

/// The arrows among the modules of a folder: who uses whom, and the file in which.
fn arrows(folder: &str) -> BTreeMap<(String, String), String> {
    let (source, inner) = folder.split_at(folder.find("/src").expect("a folder of sources") + 4);
    let source = root().join(source);
    let inner: Vec<&str> = inner.split('/').filter(|name| !name.is_empty()).collect();
    let mut arrows = BTreeMap::new();
    for file in files(&root().join(folder)) {
        let module = module(&file, &source);
        // The folder's own file may name all that is in it.
        let Some(from) = module.get(inner.len()) else {
            continue;
        };
        let tokens: TokenStream = read(&file).parse().expect("Rust");
        let mut uses = BTreeSet::new();
        named(tokens, &module, &mut uses);
        for path in uses {
            let inside = path.len() > inner.len() && path.iter().zip(&inner).all(|(a, b)| a == b);
            if inside && path[inner.len()] != *from {
                let to = path[inner.len()].clone();
                let place = file.strip_prefix(root()).expect("in the workspace");
                arrows.insert((from.clone(), to), place.display().to_string());
            }
        }
    }
    arrows
}

/// The modules of a folder; not those that are a list of names for others.
fn children(folder: &str) -> BTreeSet<String> {
    let path = root().join(folder);
    let names = fs::read_dir(path).expect("a folder").map(|entry| {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().expect("a name");
        (stem.to_string_lossy().into_owned(), path)
    });
    let names = names.filter(|(_, path)| {
        path.is_dir() || path.extension().is_some_and(|extension| extension == "rs")
    });
    let lists = ["mod", "lib", "__private", "tests"];
    names
        .map(|(name, _)| name)
        .filter(|name| !lists.contains(&name.as_str()))
        .collect()
}

#[test]
fn every_module_stands_in_the_drawing_of_its_folder_once() {
    for (folder, rows) in drawing() {
        let mut drawn: Vec<String> = rows.into_iter().flatten().collect();
        drawn.sort();
        let there: Vec<String> = children(&folder).into_iter().collect();
        assert_eq!(
            drawn, there,
            "docs/architecture.md, {folder}: drawn, and there"
        );
    }
}

#[test]
fn modules_use_only_what_stands_above_them_in_the_drawing() {
    let mut wrong = Vec::new();
    for (folder, rows) in drawing() {
        let row = |name: &str| rows.iter().position(|row| row.iter().any(|of| of == name));
        for ((from, to), file) in arrows(&folder) {
            match (row(&from), row(&to)) {
                (Some(below), Some(above)) if above < below => {}
                // Lists of names, which stand beside the order.
                (None, _) => {}
                (_, None) => wrong.push(format!(
                    "{file}: `{from}` takes `{to}` from {folder} itself: name the module that it is of"
                )),
                _ => wrong.push(format!("{file}: `{from}` uses `{to}`, which is not above it in {folder}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
