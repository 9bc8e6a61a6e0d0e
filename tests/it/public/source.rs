//! The source of the crate as a tree, and where its items are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::TokenTree;
use syn::{Attribute, Item, ItemImpl, Type, UseTree, Visibility};

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

    /// The item of this name that the module has or exports, and what is implemented for it; each with
    /// the module in which it stands.
    pub(super) fn items(&self, at: &At, name: &str) -> Vec<(At, Item)> {
        let items = &self.0[at];
        let mut found: Vec<Item> = items
            .iter()
            .filter(|item| name_of(item).is_some_and(|it| it == name))
            .cloned()
            .collect();
        if found.is_empty()
            && let Some((at, name)) = self.imported(at, name)
        {
            return self.items(&at, &name);
        }
        let macros = || items.iter().filter(|it| is_macro(it));
        if found.is_empty() {
            found.extend(macros().filter(|it| is_given(it, name)).cloned());
        } else {
            // Those give it methods.
            found.extend(macros().filter(|it| is_first(it, name)).cloned());
        }
        if found.is_empty() {
            // Its name stands in the definition of the macro.
            found.extend(macros().cloned());
        }
        assert!(!found.is_empty(), "{name} is not found in {at:?}");
        let mut found: Vec<_> = found.into_iter().map(|item| (at.clone(), item)).collect();
        found.extend(self.implemented(at, name));
        found
    }

    /// Whether this name, as the module has it, is that of an item of this crate.
    pub(super) fn is_own(&self, at: &At, name: &str) -> bool {
        let Some(items) = self.0.get(at) else { return false };
        let here = |item: &Item| {
            name_of(item).is_some_and(|it| it == name) || is_macro(item) && is_first(item, name)
        };
        items.iter().any(here)
            || self.imported(at, name).is_some_and(|(at, name)| self.is_own(&at, &name))
    }

    /// Where a module has a name from that it imports or exports.
    fn imported(&self, at: &At, name: &str) -> Option<(At, String)> {
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
                // A crate itself is named, too.
                return Some((from, last.clone())).filter(|it| (&it.0, &*it.1) != (at, name));
            }
        }
        None
    }

    /// The blocks of a type, wherever they are. A module with another type of that name means that one.
    fn implemented(&self, at: &At, name: &str) -> Vec<(At, Item)> {
        let mut found = Vec::new();
        for (module, items) in &self.0 {
            let own = items.iter().any(|item| name_of(item).is_some_and(|it| it == name));
            if own && module != at {
                continue;
            }
            let of_it = items.iter().filter(|item| is_of(item, name));
            found.extend(of_it.map(|item| (module.clone(), item.clone())));
        }
        found.retain(
            |(module, item)| matches!(item, Item::Impl(it) if self.says_something(module, it)),
        );
        found
    }

    /// Whether others can use anything of a block: a public method, or a trait that they can name.
    fn says_something(&self, at: &At, block: &ItemImpl) -> bool {
        match &block.trait_ {
            Some((_, path, _)) => path.segments.last().is_some_and(|last| {
                !self.is_own(at, &last.ident.to_string()) || self.is_exported(&last.ident)
            }),
            None => block.items.iter().any(is_shown),
        }
    }

    /// Whether `lib.rs` exports this name.
    pub(super) fn is_exported(&self, name: &syn::Ident) -> bool {
        let own = |it: &Export| matches!(it, Export::Own { name: own, .. } if name == own);
        self.exports().iter().any(own)
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

/// Whether this calls a macro.
fn is_macro(item: &Item) -> bool {
    matches!(item, Item::Macro(it) if it.ident.is_none())
}

/// Whether a macro is given this name before all else.
fn is_first(item: &Item, name: &str) -> bool {
    let Item::Macro(it) = item else { return false };
    let mut words = it.mac.tokens.clone().into_iter();
    let first = words.find(|word| matches!(word, TokenTree::Ident(_)));
    first.is_some_and(|first| first.to_string() == name)
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
