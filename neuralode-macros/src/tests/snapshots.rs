//! What the macro makes of the main forms of a model, pretty-printed under `docs/expansion`, for people to read.

use std::{fs, path::Path};

use proc_macro2::TokenStream;
use quote::ToTokens;

use crate::{expand, expand_derive};

/// The expansion of the model in `docs/expansion/NAME.in.rs`, without the long path of the names that it uses.
fn expansion(folder: &Path, name: &str) -> String {
    let source = fs::read_to_string(folder.join(format!("{name}.in.rs"))).expect("a model");
    let file: syn::File = syn::parse_str(&source).expect("Rust");
    let mut text = format!(
        "// What the macro makes of {name}.in.rs; `::neuralode::__private::` is left out before names.\n\n"
    );
    for item in file.items {
        let expanded: TokenStream = match item {
            syn::Item::Macro(item) => expand(item.mac.tokens),
            syn::Item::Struct(item) => expand_derive(item.into_token_stream()),
            _ => continue,
        };
        let short = expanded
            .to_string()
            .replace(":: neuralode :: __private :: ", "");
        let file: syn::File = syn::parse_str(&short).expect("items");
        text.push_str(&prettyplease::unparse(&file));
    }
    text
}

#[test]
fn the_documented_expansions_are_what_the_macro_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/expansion");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).expect("a folder of models") {
        let name = entry.expect("an entry").file_name();
        let name = name.into_string().expect("a name in UTF-8");
        names.extend(name.strip_suffix(".in.rs").map(str::to_owned));
    }
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        let path = folder.join(format!("{name}.rs"));
        let found = expansion(&folder, &name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &found).expect("written");
        }
        let documented = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == documented,
            "{}: run `BLESS=1 cargo test -p neuralode-macros snapshots`, and read the difference",
            path.display()
        );
    }
}
