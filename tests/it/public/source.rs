//! The source of the crate as a tree, and where its items are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, Type, UseTree, Visibility};

/// A path of modules below the crate.
pub(super) type At = Vec<String>;

/// All files of `src`.
pub(super) struct Crate(BTreeMap<At, Vec<Item>>);

/// What `lib.rs` exports.
pub(super) enum Export {
    /// Of another crate: the `use` itself.
    Foreign(Box<Item>),
    /// An item of this crate, and the module that names it.
    Own { name: String, at: At },
}

impl Crate {
    pub(super) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut folders, mut modules) = (vec![root.clone()], BTreeMap::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder of this repository") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|it| it == "rs") {
                    let text = fs::read_to_string(&path).expect("a file of this repository");
                    let file = syn::parse_file(&text).expect("it compiles");
                    modules.insert(module(&path, &root), file.items);
                }
            }
        }
        Self(modules)
    }

    /// What `lib.rs` exports, in its order.
    pub(super) fn exports(&self) -> Vec<Export> {
        let mut exports = Vec::new();
        for item in &self.0[&Vec::new()] {
            match item {
                Item::Use(it) if is_public(&it.vis) && !is_hidden(&it.attrs) => {
                    let mut paths = Vec::new();
                    flatten(&it.tree, Vec::new(), &mut paths);
                    let own = |path: &At| self.0.contains_key(&path[..1]);
                    if !paths.iter().all(own) {
                        exports.push(Export::Foreign(Box::new(item.clone())));
                        continue;
                    }
                    exports.extend(paths.into_iter().map(|mut at| {
                        let name = at.pop().expect("a path ends with a name");
                        Export::Own { name, at }
                    }));
                }
                Item::Mod(it) if is_public(&it.vis) && !is_hidden(&it.attrs) => {
                    panic!("the module {} is public: export what is meant to be", it.ident);
                }
                _ => {}
            }
        }
        exports
    }

    /// The item of this name that the module has or exports, and what is implemented for it.
    pub(super) fn items(&self, at: &At, name: &str) -> Vec<Item> {
        let items = &self.0[at];
        if let Some(item) = items.iter().find(|item| name_of(item).is_some_and(|it| it == name)) {
            let mut found = vec![item.clone()];
            found.extend(self.implemented(at, name));
            return found;
        }
        if let Some((at, name)) = self.exported(at, name) {
            return self.items(&at, &name);
        }
        let macros =
            || items.iter().filter(|it| matches!(it, Item::Macro(it) if it.ident.is_none()));
        let mut made: Vec<Item> = macros().filter(|it| is_given(it, name)).cloned().collect();
        if made.is_empty() {
            // Its name stands in the definition of the macro.
            made.extend(macros().cloned());
        }
        assert!(!made.is_empty(), "{name} is not found in {at:?}");
        made.extend(self.implemented(at, name));
        made
    }

    /// Where a module has a name from that it exports.
    fn exported(&self, at: &At, name: &str) -> Option<(At, String)> {
        for item in &self.0[at] {
            let Item::Use(it) = item else { continue };
            let mut paths = Vec::new();
            flatten(&it.tree, Vec::new(), &mut paths);
            if let Some(path) =
                paths.into_iter().find(|path| path.last().is_some_and(|it| it == name))
            {
                let (last, modules) = path.split_last()?;
                let mut from = if modules.first().is_some_and(|it| it == "crate") {
                    Vec::new()
                } else {
                    at.clone()
                };
                for module in modules.iter().filter(|it| *it != "crate" && *it != "self") {
                    if module == "super" {
                        from.pop();
                    } else {
                        from.push(module.clone());
                    }
                }
                return Some((from, last.clone()));
            }
        }
        None
    }

    /// The blocks of a type, wherever they are. A module with another type of that name means that one.
    fn implemented(&self, at: &At, name: &str) -> Vec<Item> {
        let mut found = Vec::new();
        for (module, items) in &self.0 {
            let own = items.iter().any(|item| name_of(item).is_some_and(|it| it == name));
            if own && module != at {
                continue;
            }
            found.extend(items.iter().filter(|item| is_of(item, name)).cloned());
        }
        // A block without anything public says nothing.
        found.retain(|item| matches!(item, Item::Impl(it) if it.trait_.is_some() || it.items.iter().any(is_shown)));
        found
    }
}

fn is_shown(item: &syn::ImplItem) -> bool {
    match item {
        syn::ImplItem::Fn(it) => is_public(&it.vis) && !is_hidden(&it.attrs),
        syn::ImplItem::Const(it) => is_public(&it.vis),
        _ => false,
    }
}

/// Whether this is a block of the type with this name.
fn is_of(item: &Item, name: &str) -> bool {
    let Item::Impl(it) = item else { return false };
    let Type::Path(path) = &*it.self_ty else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == name)
}

/// Whether a macro is given this name.
fn is_given(item: &Item, name: &str) -> bool {
    let Item::Macro(it) = item else { return false };
    let given = it.mac.tokens.to_string();
    given.split(|it: char| !it.is_alphanumeric() && it != '_').any(|word| word == name)
}

fn name_of(item: &Item) -> Option<&syn::Ident> {
    match item {
        Item::Struct(it) => Some(&it.ident),
        Item::Enum(it) => Some(&it.ident),
        Item::Trait(it) => Some(&it.ident),
        Item::Type(it) => Some(&it.ident),
        Item::Fn(it) => Some(&it.sig.ident),
        Item::Const(it) => Some(&it.ident),
        _ => None,
    }
}

pub(super) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

pub(super) fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|it| {
        it.path().is_ident("doc")
            && it.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "hidden")
    })
}

/// The paths that a `use` names.
fn flatten(tree: &UseTree, mut before: At, paths: &mut Vec<At>) {
    match tree {
        UseTree::Path(it) => {
            before.push(it.ident.to_string());
            flatten(&it.tree, before, paths);
        }
        UseTree::Name(it) => {
            before.push(it.ident.to_string());
            paths.push(before);
        }
        UseTree::Rename(it) => {
            before.push(it.ident.to_string());
            paths.push(before);
        }
        UseTree::Group(it) => {
            it.items.iter().for_each(|tree| flatten(tree, before.clone(), paths));
        }
        UseTree::Glob(_) => panic!("a glob says nothing about what it exports"),
    }
}

fn module(path: &Path, root: &Path) -> At {
    let path: PathBuf = path.strip_prefix(root).expect("it is below").with_extension("");
    let mut words: At = path.iter().map(|it| it.to_string_lossy().into_owned()).collect();
    if words.last().is_some_and(|it| it == "mod" || it == "lib") {
        words.pop();
    }
    words
}
